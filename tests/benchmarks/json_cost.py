"""
What the numbers of a JSON tensor cost, by the server and by orjson with NumPy.

    python tests/benchmarks/json_cost.py [SECONDS]

Both read a whole request into a float32 tensor and write the response of an identity model,
on the same text and in turns. The first text has short numbers, multiples of 1/256; the
second is longer: random numbers with the 17 digits that a float32 has as a double. Prints
one JSON object: text -> bytes and microseconds.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import orjson
from exchanges import pixels

from inferd.protocol import infer_json
from inferd.protocol.json_document import parse
from inferd.protocol.messages import InferResponse

_SHAPE: Final = [3, 224, 224]
_START_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one text costs.

    Attributes:
        text_bytes: How long the request is.
        server_us: Microseconds in the server, reading and writing.
        orjson_us: Microseconds with orjson and NumPy.
    """

    text_bytes: int
    server_us: float
    orjson_us: float

    @property
    def ratio(self) -> float:
        """How many times as fast the server is."""
        return self.orjson_us / self.server_us


def measure_json(seconds: float) -> dict[str, Cost]:
    """Measure in a new process; so many seconds for each text."""
    ran = subprocess.run(
        [sys.executable, __file__, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_START_SECONDS + 4 * seconds,
        check=True,
    )
    return {text: Cost(**found) for text, found in json.loads(ran.stdout).items()}


def texts() -> dict[str, np.ndarray]:
    """Return the numbers of each text."""
    return {
        "multiples of 1/256": pixels(),
        "17 digits": np.random.default_rng(4).random(150528, dtype=np.float32),
    }


def document(values: np.ndarray) -> bytes:
    """Return a request."""
    tensor = {"name": "INPUT0", "datatype": "FP32", "shape": _SHAPE, "data": values.tolist()}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()


def with_orjson(body: bytes) -> bytes:
    """Read a request and write its response with orjson and NumPy alone."""
    tensor = orjson.loads(body)["inputs"][0]
    array = np.array(tensor["data"], np.float64).astype(np.float32)
    output = {"name": "OUTPUT0", "datatype": "FP32", "shape": _SHAPE}
    output["data"] = array.astype(np.float64)
    answer = {"model_name": "m", "model_version": "1", "outputs": [output]}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def with_server(body: bytes) -> bytes:
    """Read a request and write its response as the server does."""
    decoded = infer_json.decode_request(
        parse(memoryview(body)),
        memoryview(b""),
        model_name="m",
        model_version="",
        max_input_size=1 << 30,
    )
    (tensor,) = decoded.request.inputs.values()
    tensor.name = "OUTPUT0"
    return infer_json.encode_response(InferResponse("m", "1", [tensor]), (), False).document


def measure(values: np.ndarray, seconds: float) -> Cost:
    """
    Return the medians of what both cost.

    Raises:
        ValueError: They do not write the same response.
    """
    body = document(values)
    if orjson.loads(with_server(body)) != orjson.loads(with_orjson(body)):
        raise ValueError("the server writes another response than orjson")
    took: dict[Callable[[bytes], bytes], list[int]] = {with_server: [], with_orjson: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took[with_server]) < 3:
        for answer, spent in took.items():
            begun = time.perf_counter_ns()
            answer(body)
            spent.append(time.perf_counter_ns() - begun)
    server_us, orjson_us = (statistics.median(spent) / 1000 for spent in took.values())
    return Cost(len(body), server_us, orjson_us)


def main() -> None:
    """Measure as the command line says."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    found = {text: asdict(measure(values, seconds)) for text, values in texts().items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
