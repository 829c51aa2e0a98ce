"""
What the numbers of a large JSON tensor cost, by the server's codec and by orjson with NumPy.

    python tests/benchmarks/json_numbers.py [ROUNDS]

The first two cases of ``json_cost.py`` in a process of their own: the text of the target,
multiples of 1/256, and random numbers with the 17 digits a float32 has as a double. Prints
one JSON object: text -> bytes and microseconds.
"""

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Final

from json_cost import Times, cases, measure

from inferd.protocol.json_codec import CHOSEN, PYTHON

_SECONDS: Final = 120.0
_OTHER: Final = "orjson + NumPy"
_TEXTS: Final = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one text costs.

    Attributes:
        text_bytes: How long the request is.
        server_us: Microseconds in the server's codec, reading and writing.
        orjson_us: Microseconds with orjson and NumPy.
    """

    text_bytes: int
    server_us: float
    orjson_us: float

    @property
    def ratio(self) -> float:
        """How many times as fast the server is."""
        return self.orjson_us / self.server_us


def measure_json(rounds: int) -> dict[str, Cost]:
    """Measure in a new process."""
    ran = subprocess.run(
        [sys.executable, __file__, str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return {text: Cost(**found) for text, found in json.loads(ran.stdout).items()}


def both_ways(times: Times, case: str, way: str) -> float:
    """Return the medians of reading and of writing a case in one way, added up."""
    return sum(statistics.median(times[case, way, step]) for step in ("decode", "encode"))


def main() -> None:
    """Measure as the command line says."""
    measured = cases()[:_TEXTS]
    times = measure(measured, int(sys.argv[1]) if len(sys.argv) > 1 else 9)
    ours = "python" if CHOSEN is PYTHON else "native"
    found = {
        one.name: Cost(
            len(one.body),
            both_ways(times, one.name, ours),
            both_ways(times, one.name, _OTHER),
        )
        for one in measured
    }
    json.dump({text: asdict(cost) for text, cost in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
