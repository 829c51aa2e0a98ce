"""Which status each error has."""

import pytest
from grpclib.const import Status

from inferd import errors
from inferd.frontends.grpc.errors import status_of

TABLE = {
    errors.InvalidRequest: Status.INVALID_ARGUMENT,
    errors.UnsupportedFeature: Status.UNIMPLEMENTED,
    errors.DecoupledModel: Status.UNIMPLEMENTED,
    errors.MalformedDocument: Status.INTERNAL,
    errors.NotFound: Status.NOT_FOUND,
    errors.AlreadyExists: Status.ALREADY_EXISTS,
    errors.Unavailable: Status.UNAVAILABLE,
    errors.ModelNotReady: Status.UNAVAILABLE,
    errors.QueueFull: Status.UNAVAILABLE,
    errors.QueueTimeout: Status.UNAVAILABLE,
    errors.DeadlineExceeded: Status.DEADLINE_EXCEEDED,
    errors.ServerFull: Status.RESOURCE_EXHAUSTED,
    errors.ShuttingDown: Status.UNAVAILABLE,
    errors.RequestCancelled: Status.CANCELLED,
    errors.LoadFailed: Status.INVALID_ARGUMENT,
    errors.PollFailed: Status.INTERNAL,
    errors.BackendError: Status.INTERNAL,
}


def _made(kind):
    return kind("m", "why") if kind is errors.PollFailed else kind("why")


@pytest.mark.parametrize(("kind", "status"), TABLE.items())
def test_each_error_has_tritons_status(kind, status):
    """The status is the one Triton answers for the same failure."""
    assert status_of(_made(kind)) is status


def test_every_error_is_in_the_table():
    """No error a client can see is without a status of its own choosing."""

    def subclasses(kind):
        return {kind, *(found for sub in kind.__subclasses__() for found in subclasses(sub))}

    ours = {kind for kind in subclasses(errors.InferdError) if kind.__module__ == "inferd.errors"}
    assert ours - {errors.InferdError} == set(TABLE)


def test_an_error_without_a_kind_is_internal():
    """The base class itself tells the client nothing about whose fault it is."""
    assert status_of(errors.InferdError("x")) is Status.INTERNAL
