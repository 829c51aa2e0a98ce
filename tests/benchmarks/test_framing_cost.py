"""Timing the framing of requests."""

import pytest
from cases import CASES
from framing_cost import GrpcFraming, HttpFraming
from messages import encode

NAMED = {case.name: case for case in CASES}


@pytest.mark.parametrize("name", ["gRPC add/sub, 16 in flight", "gRPC FP32[150528], 8 in flight"])
def test_every_call_of_a_turn_is_answered(name):
    """Also when a message is longer than what is received at a time or the windows let through."""
    pytest.importorskip("inferd_kernels.wire._http2", exc_type=ImportError)
    case = NAMED[name]
    framing = GrpcFraming(encode(case.protocol, case.model), case.streams)

    assert framing.turn_us([b"answer", bytes(700_000)]) > 0
    assert framing.turn_us([b"answer"]) > 0


@pytest.mark.parametrize("case", [case for case in CASES if case.over_http], ids=lambda c: c.name)
def test_a_request_is_read_as_the_server_reads_it(case):
    """Again and again, its body whole and its model known."""
    request = encode(case.protocol, case.model)
    framing = HttpFraming(request)

    for _ in range(2):
        event = framing.receive()
        assert bytes(event.body) == request.body
        assert event.head.route.name == case.model
