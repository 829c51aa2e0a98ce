"""Metadata and timeouts as clients write them."""

import pytest

from inferd.errors import InvalidRequest
from inferd.frontends.grpc.metadata import read_metadata, read_timeout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("5S", 5.0), ("2M", 120.0), ("250m", 0.25), ("99999999S", 99_999_999.0)],
)
def test_timeouts(text, seconds):
    """Eight digits and a unit, or no timeout."""
    assert read_timeout(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "1x", "-1S", "1.5S", "123456789S"])
def test_bad_timeouts(text):
    """What is no timeout is named; nine digits are one too many."""
    with pytest.raises(InvalidRequest, match="invalid grpc-timeout"):
        read_timeout(text)


def test_metadata_is_what_remains():
    """Without HTTP's and gRPC's own headers, in order, repeated names included."""
    headers = [
        (":path", "/"), ("grpc-timeout", "1S"), ("te", "trailers"), ("user-agent", "gr\xf6\xdfe"),
        ("a", "1"), ("a", "2"), ("b-bin", "AAE"),
    ]  # fmt: skip
    assert list(read_metadata(headers).items()) == [("a", "1"), ("a", "2"), ("b-bin", b"\0\1")]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (("x-bin", "a"), "metadata 'x-bin' is not base64"),
        (("x", "gr\xf6\xdfe"), "metadata 'x' is not ASCII"),
        (("\xf6", "x"), r"metadata '\xf6' is not ASCII"),
    ],
)
def test_bad_metadata(header, text):
    """It is named."""
    with pytest.raises(InvalidRequest) as caught:
        read_metadata([header])
    assert caught.value.message == text
