"""The values of ``inferd bench``'s options, read from their texts."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inferd.cli.benchmark.plan import Level

_MOST_LEVELS: Final = 10_000


def concurrency_range(text: str) -> tuple[int, ...]:
    """Read ``start[:end[:step]]``, as perf_analyzer does: start to end, the end included."""
    return tuple(int(number) for number in _range(text, int))


def rate_range(text: str) -> tuple[float, ...]:
    """Read ``start[:end[:step]]`` of requests per second."""
    return _range(text, float)


def _range(text: str, kind: Callable[[str], float]) -> tuple[float, ...]:
    parts = text.split(":")
    try:
        start = kind(parts[0])
        end = kind(parts[1]) if len(parts) > 1 else start
        step = kind(parts[2]) if len(parts) > 2 else 1
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not START[:END[:STEP]]") from None
    if len(parts) > 3 or not 0 < start <= end < math.inf or not step > 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not START[:END[:STEP]] with 0 < START <= END and STEP > 0"
        )
    count = int((end - start) / step + 1e-9) + 1
    if count > _MOST_LEVELS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is {count} levels; at most {_MOST_LEVELS} are possible"
        )
    return tuple(start + index * step for index in range(count))


def header(text: str) -> tuple[str, str]:
    """Read ``NAME: VALUE`` or ``NAME:VALUE``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or "\r" in text or "\n" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:VALUE")
    return name.strip(), value.strip()


def natural(text: str) -> int:
    """Read a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def percentile(text: str) -> float | None:
    """Read a percentile; -1 is the mean."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value == -1:
        return None
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 100, nor -1")
    return value


def output_file(*suffixes: str) -> Callable[[str], str]:
    """Return a reader of file names that end in one of ``suffixes``."""

    def read(text: str) -> str:
        if not text.lower().endswith(suffixes):
            raise argparse.ArgumentTypeError(f"{text!r} ends in none of {', '.join(suffixes)}")
        return text

    return read


@dataclass(frozen=True, slots=True)
class Measuring:
    """
    How long each level is measured.

    Attributes:
        interval_ns: The length of a window.
        requests: Measure so many requests instead; 0 for windows.
        warmup: Requests sent before, which do not count.
        stability: How many percent the last three windows may differ.
        percentile: What must be stable, and at most the threshold; ``None`` is the mean latency.
        trials: The most windows.
        threshold_ns: Levels end after one with a latency above it; 0 for never.
        rounds: Windows of each server when two are compared.
    """

    interval_ns: int
    requests: int
    warmup: int
    stability: float
    percentile: float | None
    trials: int
    threshold_ns: float
    rounds: int


def levels(
    concurrency: tuple[int, ...] | None, rates: tuple[float, ...] | None, *, poisson: bool
) -> list[Level]:
    """Return the levels of the two ranges; one request in flight when neither is given."""
    if rates is not None:
        return [Level(rate=rate, poisson=poisson) for rate in rates]
    return [Level(concurrency=number) for number in concurrency or (1,)]
