"""
Measures what reading and writing the numbers of a JSON request costs, with the kernel and without.

    python tests/benchmarks/json_cost.py [--rounds N] [--quick] [--output FILE]

A request body becomes tensors and a response with the same tensors becomes a body, checks
included. "orjson + NumPy" is the least that does it: ``numpy.array`` of what ``orjson.loads``
returns and ``orjson.dumps`` of the array as float64, without a check of anything. All three
read the same text, write the same numbers and take turns in every round. Processor time.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from inferd.protocol import json_data
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.infer_json import decode_request
from inferd.protocol.json_codec import CHOSEN, PYTHON, JsonCodec
from inferd.protocol.json_document import parse
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor

BYTES_PER_ROUND: Final = 3_000_000
IMAGE: Final = (3, 224, 224)

LEGEND: Final = """\
A request body becomes tensors, and a response with the same tensors becomes a body. "python" and
"native" check all that the frontends check; "orjson + NumPy" is `numpy.array` of what
`orjson.loads` returns and `orjson.dumps` of the array, without a check.
"""

Array = npt.NDArray[Any]
Way = tuple[Callable[[], object], Callable[[], object]]
"""What decodes a case and what encodes it."""

Times = dict[tuple[str, str, str], list[float]]
"""Case, way and direction -> microseconds of each round."""


@dataclass(frozen=True)
class Case:
    """
    One request.

    Attributes:
        name: What the table calls it.
        body: The request.
        datatype: The datatype of its inputs.
        arrays: Their values, which are also the outputs'.
    """

    name: str
    body: bytes
    datatype: str
    arrays: list[Array]


def dumps(value: object) -> bytes:
    """Return a value as JSON."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def case(name: str, datatype: str, *arrays: Array, data: object = None) -> Case:
    """Return a case whose text is what a response would hold, or ``data``."""
    inputs = [
        {
            "name": f"INPUT{number}",
            "shape": array.shape,
            "datatype": datatype,
            "data": json_data.write(Tensor("X", datatype, array.shape, array=array))
            if data is None
            else data,
        }
        for number, array in enumerate(arrays)
    ]
    return Case(name, dumps({"inputs": inputs}), datatype, list(arrays))


def cases() -> list[Case]:
    """Return what is measured."""
    random = np.random.default_rng(0)
    pixels = (random.integers(0, 256, IMAGE) / 256).astype(np.float32)
    image = random.random(IMAGE, np.float32)
    sixteen = np.arange(16, dtype=np.int32).reshape(1, 16)
    return [
        case("FP32[3,224,224], pixels / 256", "FP32", pixels),
        case("FP32[3,224,224], random", "FP32", image),
        case("FP32[3,224,224], random, nested", "FP32", image, data=image.tolist()),
        case(
            "FP32[3,224,224], random, in as few digits as float32 needs",
            "FP32",
            image,
            data=image.ravel(),
        ),
        case("INT32[1,16]", "INT32", sixteen),
        case("2 x INT32[1,16]", "INT32", sixteen, sixteen),
        case("FP32[1000]", "FP32", random.random(1000, np.float32)),
        case("FP64[100000], normal", "FP64", random.standard_normal(100_000)),
        case("INT64[100000], random", "INT64", random.integers(-1 << 63, (1 << 63) - 1, 100_000)),
        case("INT64[100000], below 256", "INT64", random.integers(0, 256, 100_000)),
        case("BOOL[100000]", "BOOL", random.random(100_000) < 0.5),
    ]


def unchecked(one: Case) -> Way:
    """Return the least that does the work with orjson and NumPy."""
    dtype = BY_NAME[one.datatype].dtype

    def decode() -> object:
        inputs = orjson.loads(one.body)["inputs"]
        return [np.array(entry["data"], dtype).reshape(entry["shape"]) for entry in inputs]

    def encode() -> object:
        outputs = [
            {
                "data": array.ravel().astype(np.float64)
                if array.dtype == np.float32
                else array.ravel()
            }
            for array in one.arrays
        ]
        return dumps({"outputs": outputs})

    return decode, encode


def checked(codec: JsonCodec, one: Case) -> Way:
    """Return the way through a codec, as the frontends go it."""
    limits: dict[str, Any] = {"model_name": "m", "model_version": "", "max_input_size": 1 << 26}
    binary = memoryview(b"")
    outputs = [
        Tensor(f"OUTPUT{number}", one.datatype, array.shape, array=array)
        for number, array in enumerate(one.arrays)
    ]
    response = InferResponse("m", "1", outputs)

    def decode() -> object:
        quick = codec.decode_quickly(one.body, binary, **limits)
        return quick or decode_request(parse(one.body), binary, **limits)

    return decode, lambda: codec.encode_response(response, (), False)


def ways(one: Case) -> dict[str, Way]:
    """Return everything that is compared, by name."""
    found = {"orjson + NumPy": unchecked(one), "python": checked(PYTHON, one)}
    if CHOSEN is not PYTHON:
        found["native"] = checked(CHOSEN, one)
    return found


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the microseconds of one call."""
    begun = time.process_time_ns()
    for _ in range(repeats):
        call()
    return (time.process_time_ns() - begun) / 1000 / repeats


def measure(measured: Sequence[Case], rounds: int) -> Times:
    """Return the times of each case, way and direction in each round."""
    times: Times = {}
    for number in range(rounds + 1):
        for one in measured:
            repeats = max(1, BYTES_PER_ROUND // (len(one.body) + 1000))
            for name, way in ways(one).items():
                for direction, call in zip(("decode", "encode"), way, strict=True):
                    took = timed(call, repeats)
                    if number:
                        # The first round warms the interpreter and its memory up.
                        times.setdefault((one.name, name, direction), []).append(took)
    return times


def render(measured: Sequence[Case], times: Times) -> str:
    """Return a Markdown table of the medians."""
    rows = []
    for one in measured:
        sums: list[float] = []
        names = ways(one)
        for name in names:
            medians = [
                statistics.median(times[one.name, name, step]) for step in ("decode", "encode")
            ]
            sums.append(sum(medians))
            cells = [f"{took:,.1f}" for took in (*medians, sums[-1])]
            ratios = (
                [f"{before / sums[-1]:.1f}" for before in sums[:2]]
                if name == "native"
                else ["", ""]
            )
            rows.append(
                " | ".join([f"| {one.name}", f"{len(one.body):,}", name, *cells, *ratios]) + " |"
            )
    return (
        f"Python {platform.python_version()}, NumPy {np.__version__}, orjson {orjson.__version__}; "
        f"µs of processor time, medians of {len(next(iter(times.values())))} rounds.\n\n"
        "| tensors | bytes of request | with | decode | encode | both | x orjson + NumPy "
        "| x python |\n"
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(rows)
    )


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="write the table there, too")
    options = parser.parse_args()
    measured = cases()
    table = render(measured, measure(measured, 2 if options.quick else options.rounds))
    print(table)
    if options.output:
        options.output.write_text(f"# Numbers in JSON\n\n{LEGEND}\n{table}\n")


if __name__ == "__main__":
    main()
