"""
Which gRPC status each error has.

Source: the error table of Triton's frontends; ``frontends/http/errors.py`` holds the
same classes for HTTP.
"""

from typing import Final

from grpclib.const import Status

from inferd.errors import (
    AlreadyExists,
    BackendError,
    DeadlineExceeded,
    DecoupledModel,
    InferdError,
    InvalidRequest,
    LoadFailed,
    MalformedDocument,
    NotFound,
    PollFailed,
    RequestCancelled,
    ServerFull,
    Unavailable,
    UnsupportedFeature,
)

INTERNAL_ERROR: Final = "internal error"
"""All a client learns of an exception nobody foresaw."""

SHUTTING_DOWN: Final = "GRPC server is shutting down and has stopped accepting new requests."

STATUS: Final[dict[type[InferdError], Status]] = {
    InvalidRequest: Status.INVALID_ARGUMENT,
    UnsupportedFeature: Status.UNIMPLEMENTED,
    DecoupledModel: Status.UNIMPLEMENTED,
    MalformedDocument: Status.INTERNAL,
    NotFound: Status.NOT_FOUND,
    AlreadyExists: Status.ALREADY_EXISTS,
    Unavailable: Status.UNAVAILABLE,
    ServerFull: Status.RESOURCE_EXHAUSTED,
    DeadlineExceeded: Status.DEADLINE_EXCEEDED,
    RequestCancelled: Status.CANCELLED,
    LoadFailed: Status.INVALID_ARGUMENT,
    PollFailed: Status.INTERNAL,
    BackendError: Status.INTERNAL,
}


def status_of(error: InferdError) -> Status:
    """Return the status of an error, that of its nearest base class in the table."""
    for ancestor in type(error).__mro__:
        status = STATUS.get(ancestor)
        if status is not None:
            return status
    return Status.INTERNAL
