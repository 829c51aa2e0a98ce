"""The statuses of errors."""

import json

import pytest

from inferd import errors
from inferd.frontends.http.errors import respond, status_of


def _made(kind):
    return kind("m", "why") if kind is errors.PollFailed else kind("why")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidRequest, 400),
        (errors.UnsupportedFeature, 501),
        (errors.DecoupledModel, 501),
        (errors.MalformedDocument, 500),
        (errors.NotFound, 404),
        (errors.AlreadyExists, 400),
        (errors.Unavailable, 503),
        (errors.ModelNotReady, 503),
        (errors.QueueFull, 503),
        (errors.QueueTimeout, 503),
        (errors.DeadlineExceeded, 504),
        (errors.ServerFull, 503),
        (errors.ShuttingDown, 503),
        (errors.RequestCancelled, 400),
        (errors.LoadFailed, 400),
        (errors.PollFailed, 500),
        (errors.BackendError, 500),
        (errors.InferdError, 500),
    ],
)
def test_each_error_has_its_status(kind, status):
    """A client sees the status Triton gives for the same mishap."""
    assert status_of(_made(kind)) == status


def test_the_body_is_compact_json():
    """Scripts that compare the body byte by byte find what Triton sends."""
    response = respond(404, "Not Found")
    assert response.body == b'{"error":"Not Found"}'
    assert response.headers["Content-Type"] == "application/json"


def test_a_name_that_is_not_utf8_does_not_break_the_answer():
    """A path with stray bytes is answered with valid JSON."""
    assert json.loads(respond(404, "'\udcff\u00e9'").body) == {"error": "'?\u00e9'"}
