"""Which file defines what, as reflection tells it."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from inferd.frontends.grpc.descriptors import Descriptors, own_descriptors


@pytest.fixture(scope="module")
def found():
    """Three files: one needs the second twice over, by way of the third."""
    files = FileDescriptorSet()
    top = files.file.add(name="top.proto", package="a.b", dependency=["mid.proto", "low.proto"])
    outer = top.message_type.add(name="Outer")
    outer.field.add(name="field", number=1)
    outer.oneof_decl.add(name="choice")
    outer.nested_type.add(name="Inner").field.add(name="deep", number=1)
    outer.enum_type.add(name="Kind").value.add(name="PLAIN", number=0)
    top.enum_type.add(name="Top").value.add(name="FIRST", number=0)
    top.service.add(name="Serves").method.add(name="Call")
    files.file.add(name="mid.proto", package="a", dependency=["low.proto"])
    low = files.file.add(name="low.proto", package="a")
    low.service.add(name="Also")
    return Descriptors(files.SerializeToString())


def names(encoded):
    """Return the names of encoded files."""
    return [FileDescriptorProto.FromString(one).name for one in encoded]


def test_the_services_are_sorted(found):
    """By their full names."""
    assert found.services == ["a.Also", "a.b.Serves"]


def test_a_file_comes_with_what_it_depends_on(found):
    """Once each, the file itself first."""
    assert names(found.file("top.proto")) == ["top.proto", "mid.proto", "low.proto"]
    assert names(found.file("low.proto")) == ["low.proto"]
    assert found.file("no.proto") is None


@pytest.mark.parametrize(
    "symbol",
    [
        "a.b.Outer", "a.b.Outer.field", "a.b.Outer.choice", "a.b.Outer.Inner",
        "a.b.Outer.Inner.deep", "a.b.Outer.Kind", "a.b.Outer.PLAIN", "a.b.Top", "a.b.FIRST",
        "a.b.Serves", "a.b.Serves.Call",
    ],
)  # fmt: skip
def test_whatever_a_file_defines_leads_to_it(found, symbol):
    """Messages, fields, enums and their values, services and methods."""
    assert names(found.file_of(symbol))[0] == "top.proto"


@pytest.mark.parametrize("symbol", ["", "a.b", "Outer", "a.b.Outer.Kind.PLAIN", "a.b.None"])
def test_what_nobody_defines_leads_nowhere(found, symbol):
    """A package is not defined by a file, either."""
    assert found.file_of(symbol) is None


@pytest.mark.parametrize(
    ("name", "is_message"),
    [("a.b.Outer", True), ("a.b.Outer.Inner", True), ("a.b.Top", False), ("a.b.No", False)],
)
def test_messages_are_told_from_the_rest(found, name, is_message):
    """Only messages can have extensions."""
    assert found.is_message(name) is is_message


def test_an_alias_is_a_file_of_its_own():
    """Its types are its own, too, and a client can build it beside the original."""
    own = own_descriptors()
    pool = DescriptorPool()
    for package in ("grpc.reflection.v1", "grpc.reflection.v1alpha"):
        symbol = f"{package}.ServerReflection"
        for encoded in own.file_of(symbol):
            pool.AddSerializedFile(encoded)
        method = pool.FindServiceByName(symbol).methods[0]
        assert method.input_type.full_name == f"{package}.ServerReflectionRequest"
        nested = method.output_type.fields_by_name["original_request"].message_type
        assert nested is method.input_type
        assert method.output_type.fields_by_name["valid_host"].message_type is None


def test_the_servers_own_files_are_complete():
    """Every file that one depends on is there, and the services are those served."""
    own = own_descriptors()
    assert "inference.GRPCInferenceService" in own.services
    assert "model_config.proto" in names(own.file_of("inference.GRPCInferenceService"))
