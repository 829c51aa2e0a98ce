"""How calls end, whichever transport carries them."""

import asyncio
import gc
import weakref
from types import SimpleNamespace

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.errors import NotFound
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.serving import Methods, failure, http_refusal


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


async def test_a_cancelled_call_lets_go_of_its_memory_at_once():
    """Clients that leave do not leave their answers behind until a garbage collection."""

    class Call:
        timeout_seconds = None

        def open(self, method):
            """Nothing to prepare."""

    async def wait_for_ever(call):
        await asyncio.Event().wait()

    call = Call()
    alive = weakref.ref(call)
    methods = Methods({"/a": SimpleNamespace(func=wait_for_ever)}, Drain())
    task = asyncio.create_task(methods.serve(call, "/a"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    gc.disable()
    try:
        del call, task
        assert alive() is None
    finally:
        gc.enable()
