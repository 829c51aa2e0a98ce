"""Tests of what is told of error answers over HTTP."""

import pytest

from inferd.cli.clients.http_errors import error_text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "no"}', "no"),
        (b"gone", "HTTP status 500: gone"),
        (b"[]", "HTTP status 500: []"),
    ],
)
def test_error_text(body, text):
    """The server's own message is told, or what it sent instead."""
    assert error_text(500, body) == text
