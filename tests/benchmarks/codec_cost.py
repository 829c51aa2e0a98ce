"""
Measures what decoding, checking and encoding an inference message costs, natively and in Python.

    python tests/benchmarks/codec_cost.py [--rounds N] [--quick] [--messages N]

A message is decoded, made a request, its tensors are made arrays, and a response with one
output for each input is encoded, as far as each case says. Both codecs take turns in every
round. ``--messages`` then decodes and encodes so many messages of each case natively (a tenth
of the integers, a hundredth of the strings), prints what memory grew by, and exits with 1 when
that is more than a MiB.
"""

import argparse
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inferd.protocol import bytes_tensor
from inferd.protocol.infer_codec import CHOSEN, PYTHON, InferCodec
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.protocol.wire import Buffer, delimited, varint

LIMIT_BYTES: Final = 1 << 20
STRINGS: Final = 1000
"""Elements of the BYTES tensors."""

STEPS: Final = ("decode", "to_request", "elements", "encode")

Elements = Callable[[Buffer], bytes]
Times = dict[tuple[str, str, str], list[float]]
"""Case, codec and step -> microseconds in each round."""


@dataclass(frozen=True)
class Case:
    """
    One request.

    Attributes:
        name: What the table calls it.
        data: The encoded request.
        repeats: How often it is measured in a round.
    """

    name: str
    data: bytes
    repeats: int


def request(
    datatype: str, shape: Sequence[int], *, inputs: int = 1, raw: bytes = b"", contents: bytes = b""
) -> bytes:
    """Encode a request with equal inputs."""
    dims = delimited(3, b"".join(map(varint, shape)))
    typed = delimited(5, contents) if contents else b""
    tensors = [
        delimited(
            5, delimited(1, b"INPUT%d" % number) + delimited(2, datatype.encode()) + dims + typed
        )
        for number in range(inputs)
    ]
    raws = [delimited(7, raw)] * (inputs if raw else 0)
    return delimited(1, b"simple") + b"".join(tensors) + b"".join(raws)


def cases() -> list[Case]:
    """Return what is measured."""
    strings = [b"%020d" % number for number in range(STRINGS)]
    typed_strings = b"".join(delimited(8, one) for one in strings)
    return [
        Case(
            "add/sub: 2 x INT32[1,16] raw", request("INT32", (1, 16), inputs=2, raw=bytes(64)), 4000
        ),
        Case("FP32[150528] raw", request("FP32", (150528,), raw=bytes(602112)), 4000),
        Case(
            "FP32[1000] fp32_contents",
            request("FP32", (1000,), contents=delimited(6, bytes(4000))),
            4000,
        ),
        Case(
            "INT32[1000] int_contents",
            request("INT32", (1000,), contents=delimited(2, b"".join(map(varint, range(1000))))),
            400,
        ),
        Case("BYTES[1000] x 20 raw", request("BYTES", (1000,), raw=bytes_tensor.join(strings)), 60),
        Case(
            "BYTES[1000] x 20 bytes_contents", request("BYTES", (1000,), contents=typed_strings), 60
        ),
    ]


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the microseconds of one call."""
    begun = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return (time.perf_counter_ns() - begun) / 1000 / repeats


def response_to(request: InferRequest) -> InferResponse:
    """Return a response with the inputs' data."""
    outputs = [
        Tensor(one.name, one.datatype, one.shape, raw=one.raw()) for one in request.inputs.values()
    ]
    return InferResponse("simple", "1", outputs)


def elements_of(codec: InferCodec) -> Elements:
    """Return what makes an array of an encoded BYTES tensor and encodes it again."""
    if codec is PYTHON:
        unpack, join = bytes_tensor.unpack_in_python, bytes_tensor.join_array_in_python
    else:
        unpack, join = bytes_tensor.unpack, bytes_tensor.join_array

    def there_and_back(raw: Buffer) -> bytes:
        array = np.empty(STRINGS, object)
        unpack(raw, array)
        return join(array)

    return there_and_back


def steps(codec: InferCodec, case: Case) -> dict[str, float]:
    """Return the microseconds of each step of a message."""
    message = codec.decode_request(case.data)
    request = codec.to_request(message)
    response = response_to(request)
    took = {
        "decode": timed(lambda: codec.decode_request(case.data), case.repeats),
        "to_request": timed(lambda: codec.to_request(message), case.repeats),
        "elements": 0.0,
        "encode": timed(lambda: codec.encode_response(response), case.repeats),
    }
    if response.outputs[0].datatype == "BYTES":
        there_and_back = elements_of(codec)
        raw = response.outputs[0].raw()
        took["elements"] = timed(lambda: there_and_back(raw), case.repeats)
    return took


def measure(codecs: Sequence[InferCodec], rounds: int) -> Times:
    """Return the times of each case, codec and step in each round."""
    times: Times = {}
    for number in range(rounds + 1):
        for case in cases():
            for codec in codecs:
                for step, took in steps(codec, case).items():
                    if number:
                        # The first round warms the interpreter up.
                        times.setdefault((case.name, codec.name, step), []).append(took)
    return times


def render(times: Times, codecs: Sequence[InferCodec]) -> str:
    """Return a Markdown table of the medians and their sum."""
    rows = []
    for case in cases():
        sums = []
        for codec in codecs:
            medians = [statistics.median(times[case.name, codec.name, step]) for step in STEPS]
            sums.append(sum(medians))
            cells = " | ".join(f"{one:,.2f}" for one in medians)
            ratio = f"{sums[0] / sums[-1]:.1f}" if len(sums) > 1 else ""
            rows.append(f"| {case.name} | {codec.name} | {cells} | {sums[-1]:,.2f} | {ratio} |")
    rounds = len(next(iter(times.values())))
    return (
        f"Python {platform.python_version()}; µs per message, medians of {rounds} rounds.\n"
        "`elements`: BYTES made an array of objects, and encoded again.\n\n"
        f"| message | codec | {' | '.join(STEPS)} | sum | times as fast |\n"
        f"| --- | --- | {' | '.join(['---:'] * (len(STEPS) + 2))} |\n" + "\n".join(rows)
    )


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def use(codec: InferCodec, case: Case, messages: int) -> None:
    """Take messages through everything, refusals of cut ones included."""
    there_and_back = elements_of(codec)
    cut = case.data[: len(case.data) // 2]
    for _ in range(messages):
        response = response_to(codec.to_request(codec.decode_request(case.data)))
        codec.encode_stream_response(response)
        if response.outputs[0].datatype == "BYTES":
            there_and_back(response.outputs[0].raw())
        try:
            codec.decode_request(cut)
        except Exception:
            continue


def growth(codec: InferCodec, messages: int) -> dict[str, tuple[int, int]]:
    """Return for each case the bytes that tracemalloc and the system saw memory grow by."""
    found = {}
    for case in cases():
        tracemalloc.start()
        use(codec, case, 100)
        before, _ = tracemalloc.get_traced_memory()
        use(codec, case, 1000)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        resident = resident_bytes()
        use(codec, case, max(1000, messages * case.repeats // 4000))
        found[case.name] = after - before, resident_bytes() - resident
    return found


def main() -> int:
    """Measure as the command line says; 0 when memory did not grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--messages", type=int, default=0, help="count memory over so many")
    options = parser.parse_args()
    codecs = [PYTHON] if CHOSEN is PYTHON else [PYTHON, CHOSEN]
    print(render(measure(codecs, 2 if options.quick else options.rounds), codecs))
    if not options.messages:
        return 0
    grown = growth(CHOSEN, options.messages)
    for name, (traced, resident) in grown.items():
        print(f"{name}: grew by {traced} bytes (tracemalloc), {resident} bytes (resident)")
    return 1 if any(max(both) > LIMIT_BYTES for both in grown.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
