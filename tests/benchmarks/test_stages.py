"""What the stages are measured with."""

import pytest
from cases import CASES
from stages import arrivals

NAMED = {case.name: case for case in CASES}


@pytest.mark.parametrize(
    ("name", "batch", "together"),
    [
        ("gRPC add/sub, 64 in flight", 63, 63),
        ("gRPC add/sub, 1 in flight", 1, 1),
        ("gRPC BYTES[1000] of 20, raw, 16 in flight", 1, 16),
        ("gRPC FP32[150528], 8 in flight", 1, 1),
        ("HTTP JSON FP32[3,224,224], 4 connections", 1, 1),
    ],
)
def test_requests_arrive_as_in_the_case(name, batch, together):
    """Batched ones in their batch, short ones as many as are in flight, long ones alone."""
    assert arrivals(NAMED[name], batch) == together
