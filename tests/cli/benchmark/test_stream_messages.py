"""Tests of reading what a load must know of stream responses."""

from inferd._generated.inference import (
    InferParameter,
    ModelInferResponse,
    ModelInferResponseInferOutputTensor,
    ModelStreamInferResponse,
)
from inferd.cli.benchmark.stream_messages import read_response


def message(*, final=None, outputs=True, error=""):
    """Return the bytes of a response."""
    parameters = {"other": InferParameter(int64_param=1)}
    if final is not None:
        parameters["triton_final_response"] = InferParameter(bool_param=final)
    response = ModelInferResponse(
        model_name="m",
        parameters=parameters,
        outputs=[ModelInferResponseInferOutputTensor(name="OUT")] if outputs else [],
    )
    return bytes(ModelStreamInferResponse(error_message=error, infer_response=response))


def test_responses():
    """The final flag and the outputs of a response are seen."""
    found = [
        read_response(message()),
        read_response(message(final=False)),
        read_response(message(final=True, outputs=False)),
    ]
    assert [(one.error, one.has_outputs, one.is_final) for one in found] == [
        ("", True, False),
        ("", True, False),
        ("", False, True),
    ]


def test_error():
    """An error's message is seen."""
    assert read_response(message(error="no")).error == "no"


def test_unreadable_response():
    """Bytes that are no message are an error, not an exception."""
    assert "cannot be read" in read_response(b"\x12\xff").error
