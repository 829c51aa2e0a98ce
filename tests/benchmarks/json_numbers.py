"""
What the numbers of a JSON tensor cost, by the server and by orjson with NumPy.

    python tests/benchmarks/json_numbers.py [SECONDS]

Both read a whole request into a float32 tensor and write the response of an identity model,
on the same text and in turns; what the server needs to run the model counts for it. The first
text has short numbers, multiples of 1/256; the second is longer: random numbers with the 17
digits that a float32 has as a double. Prints one JSON object: text -> bytes and microseconds.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from exchanges import pixels
from repository import write

from inferd.frontends.http import inference
from inferd.frontends.http.inference import Inference
from inferd.frontends.http.routes import Route
from inferd.testing.server import InMemoryServer

MODEL: Final = "identity_image"
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
    answer = {"model_name": MODEL, "model_version": "1", "outputs": [output]}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


class Reader:
    """
    Reads requests and writes their responses as the server does.

    Args:
        server: Serves the model.
    """

    def __init__(self, server: InMemoryServer) -> None:
        self._inference = Inference(server.dataplane, 1 << 30)
        self._infer = server.dataplane.infer

    async def __call__(self, body: bytes) -> bytes:
        """Answer a request; the model returns what it is given."""
        decoded = await self._inference.decode(body, None, Route("infer", MODEL))
        response = await self._infer(decoded.request)
        return (await inference.encode(response, decoded)).document


async def measure(server: InMemoryServer, values: np.ndarray, seconds: float) -> Cost:
    """
    Return the medians of the processor time that both take.

    Raises:
        ValueError: They do not write the same numbers.
    """
    body, with_server = document(values), Reader(server)
    if _numbers(await with_server(body)) != _numbers(with_orjson(body)):
        raise ValueError("the server writes other numbers than orjson")
    ours: list[int] = []
    theirs: list[int] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(ours) < 3:
        begun = time.process_time_ns()
        await with_server(body)
        between = time.process_time_ns()
        with_orjson(body)
        ours.append(between - begun)
        theirs.append(time.process_time_ns() - between)
    return Cost(len(body), statistics.median(ours) / 1000, statistics.median(theirs) / 1000)


def _numbers(body: bytes) -> list[float]:
    numbers: list[float] = orjson.loads(body)["outputs"][0]["data"]
    return numbers


async def measure_all(seconds: float) -> dict[str, Cost]:
    """Return the cost of each text."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        async with InMemoryServer(folder, models=[MODEL]) as server:
            return {
                text: await measure(server, values, seconds) for text, values in texts().items()
            }


def main() -> None:
    """Measure as the command line says."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    found = asyncio.run(measure_all(seconds))
    json.dump({text: asdict(cost) for text, cost in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
