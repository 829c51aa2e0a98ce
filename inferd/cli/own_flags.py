"""The options that are inferd's own; :mod:`inferd.cli.flags` has them among the others."""

from typing import Final, get_args

from inferd.cli import values
from inferd.cli.flag import used
from inferd.cli.values import boolean, integer, last, number
from inferd.config import (
    CpuKernels,
    EventLoop,
    GrpcTransport,
)

OWN: Final = (
    used(
        "event-loop", "event_loop", last(values.choice(*get_args(EventLoop))),
        "Event loop that runs the server: auto (uvloop where installed), uvloop or asyncio.",
    ),
    used(
        "cpu-kernels", "cpu_kernels", last(values.choice(*get_args(CpuKernels))),
        "Kernels that classify: numpy, or numba, which is compiled at start-up and faster.",
    ),
    used(
        "busy-poll-us", "busy_poll_us", last(integer),
        "Microseconds the event loop looks for input after an answer before it sleeps, as long as "
        "clients are that quick; 0 is none. Not done where there is one CPU.",
    ),
    used(
        "strict-deadlines", "strict_deadlines", last(boolean),
        "Answer a queue timeout with 504 and DEADLINE_EXCEEDED instead of 503 and UNAVAILABLE.",
    ),
    used(
        "max-in-flight-bytes", "max_in_flight_bytes", last(integer),
        "Bytes of requests and queued answers, over HTTP and gRPC together, beyond which "
        "requests of more than 64 KiB are answered 503 or RESOURCE_EXHAUSTED before they are "
        "read; 0 is half the memory that the machine or the container has.",
    ),
    used(
        "grpc-transport", "grpc_transport", last(values.choice(*get_args(GrpcTransport))),
        "What speaks HTTP/2: native (nghttp2), python, or auto (native where it is built).",
    ),
    used(
        "grpc-reflection", "grpc_reflection", last(boolean),
        "Tell clients such as grpcurl what services there are (gRPC server reflection).",
    ),
    used(
        "http-fast-lane", "http_fast_lane", last(boolean),
        "Answer inference requests over HTTP beside aiohttp, which takes the others.",
    ),
    used(
        "http-max-head-size", "http_max_head_size", last(integer),
        "Longest head of a request in bytes; trailers behind a body may be as long.",
    ),
    used(
        "http-max-chunk-line-size", "http_max_chunk_line_size", last(integer),
        "Longest line before a chunk of a body, with its extensions, in bytes.",
    ),
    used(
        "http-head-timeout-secs", "http_head_timeout_secs", last(number),
        "Seconds from the first byte of a request to the end of its head; 0 is for ever.",
    ),
    used(
        "http-body-timeout-secs", "http_body_timeout_secs", last(number),
        "Seconds that a body, or an answer the client does not read, may make no progress; "
        "0 is for ever.",
    ),
    used(
        "http-idle-timeout-secs", "http_idle_timeout_secs", last(number),
        "Seconds that a connection may be without a request; 0 is for ever.",
    ),
)  # fmt: skip
