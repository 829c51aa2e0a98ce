"""Google's protobuf as the judge of ours, and both implementations of our codecs."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import inferd._generated
from inferd.protocol import infer_codec
from inferd.protocol import native as native_modules
from inferd.protocol.json_codec import PYTHON as PYTHON_JSON
from inferd.protocol.json_codec import JsonCodec


@pytest.fixture(scope="session")
def google():
    """Google's classes of our messages by name, from a pool of their own."""
    path = Path(inferd._generated.__file__).parent / "protos.binpb"
    pool = descriptor_pool.DescriptorPool()
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            found[message.name] = message_factory.GetMessageClass(descriptor)
    return SimpleNamespace(**found)


@pytest.fixture(scope="session")
def native():
    """The native codec; where it was not built, what needs it is skipped."""
    made = infer_codec.native()
    if made is None:
        pytest.skip("the native codec was not built")
    return made


@pytest.fixture(scope="session", params=["python", "native"])
def codec(request):
    """One implementation of the codec after the other."""
    return infer_codec.PYTHON if request.param == "python" else request.getfixturevalue("native")


@pytest.fixture(scope="session")
def native_json():
    """The JSON codec with the kernel, for arrays of any length; skipped where it was not built."""
    if native_modules.numbers is None:
        pytest.skip("the kernel for numbers in JSON was not built")
    return JsonCodec(native_modules.numbers, long_text=1)


@pytest.fixture(scope="session", params=["python", "native"])
def json_codec(request):
    """One implementation of the JSON codec after the other."""
    return PYTHON_JSON if request.param == "python" else request.getfixturevalue("native_json")
