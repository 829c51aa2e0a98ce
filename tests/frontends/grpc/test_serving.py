"""How calls end, whichever transport carries them."""

import asyncio

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.errors import NotFound
from inferd.frontends.grpc.serving import failure, http_refusal


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFound("no model"), (Status.NOT_FOUND, "no model")),
        (GRPCError(Status.ABORTED, "so"), (Status.ABORTED, "so")),
        (
            GRPCError(Status.UNIMPLEMENTED),
            (Status.UNIMPLEMENTED, "C is not implemented by this server"),
        ),
        (asyncio.CancelledError(), (Status.CANCELLED, "Request cancelled")),
    ],
)
def test_foreseen_errors_have_their_status(error, outcome, caplog):
    """And nobody has to read about them in the log."""
    assert failure(error, "/a.B/C") == outcome
    assert caplog.records == []


def test_an_unforeseen_error_is_logged(caplog):
    """The client learns nothing of it, the operator everything."""
    assert failure(ZeroDivisionError("secret"), "/a.B/C") == (Status.INTERNAL, "internal error")
    assert "gRPC call /a.B/C failed" in caplog.text
    assert "ZeroDivisionError: secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "content_type", "status"),
    [
        ("POST", "application/grpc", None),
        ("POST", "application/grpc+proto", None),
        ("POST", "application/grpc+json", "415"),
        ("POST", "", "415"),
        ("GET", "application/grpc", "405"),
    ],
)
def test_what_is_not_grpc(method, content_type, status):
    """It gets an HTTP status."""
    refusal = http_refusal(method, content_type)
    assert (refusal and refusal[0]) == status
