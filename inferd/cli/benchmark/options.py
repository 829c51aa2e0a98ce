"""The values of ``inferd bench``'s options, read from their texts."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inferd.cli.clients.client import UsageError

_MOST_LEVELS: Final = 10_000
_SHARED_MEMORY: Final = "none"
_SERVICES: Final = ("triton", "kserve")


@dataclass(frozen=True, slots=True)
class Range:
    """
    ``START[:END[:STEP]]``.

    Attributes:
        start: The first value.
        end: The last one, if a step reaches it; 0 for no end.
        step: From one value to the next.
        has_end: Whether an end was given.
    """

    start: float
    end: float
    step: float
    has_end: bool = True

    def values(self) -> list[float]:
        """Return the values of a range with an end."""
        count = int((self.end - self.start) / self.step + 1e-9) + 1
        return [self.start + index * self.step for index in range(count)]


def concurrency_range(text: str) -> Range:
    """Read ``start[:end[:step]]``, as perf_analyzer does: start to end, the end included."""
    return _range(text, int)


def rate_range(text: str) -> Range:
    """Read ``start[:end[:step]]`` of requests per second."""
    return _range(text, float)


def _range(text: str, kind: Callable[[str], float]) -> Range:
    parts = text.split(":")
    try:
        start = kind(parts[0])
        end = kind(parts[1]) if len(parts) > 1 else start
        step = kind(parts[2]) if len(parts) > 2 else 1
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not START[:END[:STEP]]") from None
    ends = end == 0 or start <= end
    if len(parts) > 3 or not (0 < start < math.inf and ends and end < math.inf and step > 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not START[:END[:STEP]] with 0 < START <= END (or END 0) and STEP > 0"
        )
    found = Range(start, end, step, len(parts) > 1)
    if end and (end - start) / step >= _MOST_LEVELS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is more than {_MOST_LEVELS} levels; no more are possible"
        )
    return found


def id_range(text: str) -> tuple[int, int]:
    """Read ``start[:end]`` of sequence ids; the end is excluded, 0 where there is none."""
    parts = text.split(":")
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not START[:END]")
    start, end = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    if not 0 < start < 1 << 63 or (end and not start < end <= 1 << 63):
        raise argparse.ArgumentTypeError(f"{text!r} is not START[:END] with 0 < START < END")
    return start, end


def request_parameter(text: str) -> tuple[str, str | int | float | bool]:
    """Read ``NAME:VALUE:TYPE`` with ``bool``, ``int``, ``float`` or ``string``."""
    name, _, rest = text.partition(":")
    value, _, kind = rest.rpartition(":")
    try:
        if kind == "bool":
            return name, {"true": True, "false": False}[value.lower()]
        read: Callable[[str], str | int | float] = {"int": int, "float": float, "string": str}[kind]
        return name, read(value)
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME:VALUE:TYPE with one of bool, int, float, string"
        ) from None


def service_kind(text: str) -> str:
    """Read the kind of service; only servers of this protocol can be loaded."""
    if text not in _SERVICES:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be loaded: only servers that speak KServe v2 "
            f"({' or '.join(_SERVICES)})"
        )
    return text


def shared_memory(text: str) -> str:
    """Read the kind of shared memory; there is none."""
    if text != _SHARED_MEMORY:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not possible: tensors travel over the connection only ({_SHARED_MEMORY})"
        )
    return text


def read_intervals(text: str, source: str) -> tuple[int, ...]:
    """
    Read the microseconds between requests, one number per line.

    Args:
        text: What the file holds.
        source: Its name, for errors.

    Returns:
        The intervals in nanoseconds.

    Raises:
        UsageError: There is none, one cannot be read, or all are 0.
    """
    try:
        intervals = tuple(round(float(line) * 1000) for line in text.split())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{source} is not a number of microseconds per line: {error}") from None
    if not intervals or min(intervals) < 0 or not any(intervals):
        raise UsageError(f"{source} holds no intervals above 0 microseconds")
    return intervals


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


def percentage(text: str) -> float:
    """Read a percentage from 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return value


def compression(text: str) -> str:
    """Read the compression of gRPC; empty for none."""
    if text not in ("none", "gzip", "deflate"):
        raise argparse.ArgumentTypeError(f"{text!r} is not none, gzip or deflate")
    return "" if text == "none" else text


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
        window_requests: How many requests a window has at least.
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
    window_requests: int = 1
