"""
What is measured: the ways to load a server, and how fast each is meant to be.

The targets are for two shared cores, with client and server on the same machine.
"""

from dataclasses import dataclass
from typing import Final, Literal

Protocol = Literal["grpc", "grpc contents", "http json", "http binary"]
"""What is spoken; ``grpc`` has raw tensors, ``grpc contents`` has them in typed fields."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    What a case is meant to reach.

    Attributes:
        kind: ``"rate"`` is requests per second, ``"bytes"`` gigabytes per second of tensors
            in both directions together, ``"twin"`` how many times the rate of the server
            without native modules, ``"json"`` how many times as fast as orjson and NumPy
            the numbers are read and written.
        least: The least that holds.
        p99_ms: What the 99th percentile of the latency is to be under, if anything.
    """

    kind: Literal["rate", "bytes", "twin", "json"]
    least: float
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """
    One way to load a server.

    Attributes:
        name: What the report calls it.
        protocol: What is spoken.
        model: Which model.
        connections: How many connections are open.
        streams: Requests in flight on each; 1 over HTTP.
        target: What it is meant to reach.
        both_ways: Bytes of tensors in a request and its response together.
        serve: What our server is started with; it is one of its own then.
    """

    name: str
    protocol: Protocol
    model: str
    connections: int
    streams: int
    target: Target
    both_ways: int = 4 * 64
    serve: tuple[str, ...] = ()

    @property
    def over_http(self) -> bool:
        """Whether it is HTTP/1.1, and not gRPC."""
        return self.protocol.startswith("http")


_FLOATS: Final = 2 * 4 * 150528
_STRINGS: Final = 2 * 1000 * (4 + 20)

CASES: Final = (
    Case(
        "gRPC add/sub, 64 in flight",
        "grpc",
        "simple_batched",
        1,
        64,
        Target("rate", 60_000, p99_ms=3.0),
    ),
    Case("gRPC add/sub, 16 in flight", "grpc", "simple_batched", 1, 16, Target("rate", 50_000)),
    Case("gRPC add/sub, 1 in flight", "grpc", "simple_batched", 1, 1, Target("rate", 15_000)),
    Case(
        "gRPC add/sub, 1 in flight, --busy-poll-us=0",
        "grpc",
        "simple_batched",
        1,
        1,
        Target("rate", 15_000),
        serve=("--busy-poll-us=0",),
    ),
    Case(
        "gRPC add/sub, 16 connections x 4",
        "grpc",
        "simple_batched",
        16,
        4,
        Target("rate", 50_000),
    ),
    Case(
        "gRPC FP32[150528], 8 in flight",
        "grpc",
        "identity_floats",
        1,
        8,
        Target("bytes", 1.2),
        _FLOATS,
    ),
    Case(
        "HTTP JSON add/sub, 16 connections",
        "http json",
        "simple_batched",
        16,
        1,
        Target("rate", 32_000),
    ),
    Case(
        "HTTP binary add/sub, 16 connections",
        "http binary",
        "simple_batched",
        16,
        1,
        Target("rate", 40_000),
    ),
    Case(
        "gRPC BYTES[1000] of 20, raw, 16 in flight",
        "grpc",
        "identity_strings",
        1,
        16,
        Target("twin", 10),
        _STRINGS,
    ),
    Case(
        "gRPC BYTES[1000] of 20, bytes_contents, 16 in flight",
        "grpc contents",
        "identity_strings",
        1,
        16,
        Target("twin", 10),
        _STRINGS,
    ),
    Case(
        "HTTP JSON FP32[3,224,224], 4 connections",
        "http json",
        "identity_image",
        4,
        1,
        Target("json", 3),
        _FLOATS,
    ),
)

MEMORY_BYTES: Final = 150_000_000
"""What the server's resident memory is to be under after all of it."""
