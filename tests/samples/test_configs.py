"""Tests of the config.pbtxt texts of the samples."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import inferd._generated
from inferd.samples import configs

TEXTS = {name.lower(): text for name, text in vars(configs).items() if name[0].isupper()}


def parse(text):
    """Return a config as Google's text format parser reads it, unknown fields refused."""
    files = descriptor_pb2.FileDescriptorSet.FromString(
        Path(inferd._generated.__file__).with_name("protos.binpb").read_bytes()
    )
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))
    return text_format.Parse(text, kind())


@pytest.mark.parametrize("name", ["densenet_onnx", "inception_onnx"])
def test_classifiers_do_not_batch_and_say_whose_weights_they_have(name):
    """The classifiers take one picture and their configs name the real network."""
    config = parse(TEXTS[name])
    assert config.max_batch_size == 0
    assert list(config.input[0].reshape.shape) == [1, *config.input[0].dims]
    assert config.output[0].label_filename == f"{name.removesuffix('_onnx')}_labels.txt"
    assert TEXTS[name].startswith("# The weights are those of EfficientNet-Lite0")


@pytest.mark.parametrize("name", TEXTS)
def test_every_config_names_its_model_and_its_platform(name):
    """Each config belongs to the model of its folder and to ONNX Runtime."""
    config = parse(TEXTS[name])
    assert (config.name, config.platform) == (name, "onnxruntime_onnx")


@pytest.mark.parametrize(
    ("name", "data_type"),
    [("simple", "TYPE_INT32"), ("simple_int8", "TYPE_INT8"), ("simple_string", "TYPE_STRING")],
)
def test_add_sub(name, data_type):
    """The add-and-subtract models batch up to 8 and do not wait for a batch."""
    config = parse(TEXTS[name])
    assert config.max_batch_size == 8
    assert not config.HasField("dynamic_batching")
    tensors = [*config.input, *config.output]
    assert [tensor.name for tensor in tensors] == ["INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1"]
    for tensor in tensors:
        names = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
        assert names[tensor.data_type].name == data_type
        assert list(tensor.dims) == [16]


def test_sequence_strategies():
    """simple_sequence leaves the strategy to the server; simple_dyna_sequence takes the oldest."""
    direct = parse(configs.SIMPLE_SEQUENCE).sequence_batching
    oldest = parse(configs.SIMPLE_DYNA_SEQUENCE).sequence_batching
    assert direct.WhichOneof("strategy_choice") is None
    assert [control.name for control in direct.control_input] == ["START", "READY"]
    assert oldest.oldest.max_candidate_sequences == 1024
    assert [control.name for control in oldest.control_input] == ["START", "END", "READY", "CORRID"]
