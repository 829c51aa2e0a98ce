"""Tests of requests that lack their place in a sequence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.templates import GrpcTemplate, HttpTemplate, json_parameters
from inferd.protocol.infer_protobuf import decode_request

IDS = st.integers(1, 2**63 - 1)


@given(IDS, st.booleans(), st.booleans())
def test_json_has_the_same_length_whatever_it_says(sequence, start, end):
    """Every id and flag is read back, of a text that is as long as any other."""
    text = json_parameters(sequence, start=start, end=end)
    assert len(text) == len(json_parameters(1, start=True, end=True))
    expected = {"sequence_id": sequence, "sequence_start": start, "sequence_end": end}
    assert json.loads(b"{" + text + b"}") == expected
    whole = HttpTemplate(b"before {", b"} after").fill(sequence, start=start, end=end)
    assert whole == b"before {" + text + b"} after"


@given(IDS, st.booleans(), st.booleans())
def test_protobuf_parameters(sequence, start, end):
    """The server's decoder reads every id and flag."""
    message = GrpcTemplate(b"\x0a\x01m").fill(sequence, start=start, end=end)[5:]
    decoded = decode_request(message)
    assert decoded.model_name == "m"
    assert {name: value for name, (_, value) in decoded.parameters.items()} == {
        "sequence_id": sequence,
        "sequence_start": start,
        "sequence_end": end,
    }


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_messages_say_so(compression):
    """The first byte of gRPC's prefix tells that a message is compressed."""
    plain, packed = (
        GrpcTemplate(bytes(1000), how).fill(1, start=True, end=True) for how in ("", compression)
    )
    assert (plain[0], packed[0]) == (0, 1)
    assert len(packed) < len(plain)
