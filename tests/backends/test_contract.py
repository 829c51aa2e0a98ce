"""What the backends without a model file demand of a config, and what they say."""

from pathlib import Path

import pytest

from inferd.backend import BackendError, ModelContext
from inferd.backends.contract import (
    check_decoupled,
    check_one_element,
    check_same_datatype,
    check_tensors,
)
from inferd.backends.repeat import RepeatBackend
from inferd.backends.square import SquareBackend
from inferd.models.model_config import parse_text

REPEAT = """
backend: "repeat"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
input { name: "DELAY" data_type: TYPE_UINT32 dims: [ -1 ] }
input { name: "WAIT" data_type: TYPE_UINT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "IDX" data_type: TYPE_UINT32 dims: [ 1 ] }
"""
SQUARE = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_INT64 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_INT64 dims: [ 1 ] }
"""
BACKENDS = {"repeat": RepeatBackend, "square": SquareBackend}


def context(text):
    """Return what a backend gets of a config."""
    return ModelContext("m", 1, parse_text(text, "m"), Path("m"), Path("m/1"))


def test_a_config_that_does_is_taken():
    """Nothing is said."""
    made = context(SQUARE)
    check_decoupled(made)
    check_tensors(made, inputs={"IN": ()}, outputs={"OUT": [made.config.output[0].data_type]})
    check_same_datatype(made, "IN", "OUT")
    check_one_element(made, "IN")


@pytest.mark.parametrize(("name", "text"), [("repeat", REPEAT), ("square", SQUARE)])
@pytest.mark.parametrize("policy", ["", "model_transaction_policy { }"])
def test_the_model_must_be_decoupled(name, text, policy):
    """The message has what to write."""
    text = text.replace("model_transaction_policy { decoupled: true }", policy)
    with pytest.raises(BackendError) as caught:
        BACKENDS[name]({}).load(context(text))

    assert caught.value.message == (
        f"backend '{name}' of model 'm' needs 'model_transaction_policy {{ decoupled: true }}'"
    )


@pytest.mark.parametrize(("name", "text"), [("repeat", REPEAT), ("square", SQUARE)])
def test_the_model_must_not_batch(name, text):
    """The message has the size."""
    with pytest.raises(BackendError) as caught:
        BACKENDS[name]({}).load(context(text + "max_batch_size: 1"))

    assert caught.value.message == (
        f"backend '{name}' of model 'm' needs a 'max_batch_size' of 0, got 1"
    )


@pytest.mark.parametrize(
    ("name", "text", "old", "new", "message"),
    [
        (
            "square",
            SQUARE,
            '"IN"',
            '"INPUT"',
            "backend 'square' needs the inputs ['IN'], but model 'm' has ['INPUT']",
        ),
        (
            "repeat",
            REPEAT,
            '"IDX"',
            '"INDEX"',
            "backend 'repeat' needs the outputs ['IDX', 'OUT'], but model 'm' has ['INDEX', 'OUT']",
        ),
        (
            "repeat",
            REPEAT,
            '"DELAY" data_type: TYPE_UINT32',
            '"DELAY" data_type: TYPE_INT32',
            "backend 'repeat' needs input 'DELAY' to be TYPE_UINT32, but model 'm' has TYPE_INT32",
        ),
        (
            "repeat",
            REPEAT,
            '"OUT" data_type: TYPE_FP32',
            '"OUT" data_type: TYPE_FP16',
            "backend 'repeat' needs output 'OUT' to be TYPE_FP32 like input 'IN', but model 'm' "
            "has TYPE_FP16",
        ),
        (
            "repeat",
            REPEAT,
            '"WAIT" data_type: TYPE_UINT32 dims: [ 1 ]',
            '"WAIT" data_type: TYPE_UINT32 dims: [ -1 ]',
            "backend 'repeat' needs input 'WAIT' of dims [1], but model 'm' has [-1]",
        ),
        (
            "square",
            SQUARE,
            '"IN" data_type: TYPE_INT64',
            '"IN" data_type: TYPE_FP32',
            "backend 'square' needs input 'IN' to be TYPE_INT8 or TYPE_INT16 or TYPE_INT32 or "
            "TYPE_INT64 or TYPE_UINT8 or TYPE_UINT16 or TYPE_UINT32 or TYPE_UINT64, but model "
            "'m' has TYPE_FP32",
        ),
        (
            "square",
            SQUARE,
            "dims: [ 1 ] }\noutput",
            "dims: [ 2 ] }\noutput",
            "backend 'square' needs input 'IN' of dims [1], but model 'm' has [2]",
        ),
    ],
)
def test_tensors_must_be_those_of_the_backend(name, text, old, new, message):
    """The message has what is expected and what is there."""
    assert old in text
    with pytest.raises(BackendError) as caught:
        BACKENDS[name]({}).load(context(text.replace(old, new)))

    assert caught.value.message == message
