"""
Counts durations in buckets that grow with the value, so that memory stays bounded.

Each power of two is divided into 128 buckets, as HdrHistogram does: a percentile is at
most 1/128 (0.8 %) above the exact one, over the whole range of 64-bit nanoseconds.
"""

import math
from collections.abc import Iterator
from typing import Final

_BITS: Final = 7
_LINEAR: Final = 1 << (_BITS + 1)


class Histogram:
    """
    Durations in nanoseconds, in at most 7,424 buckets.

    Attributes:
        count: How many were recorded.
        total: Their sum.
        maximum: The largest; 0 when there is none.
        buckets: Bucket -> how many durations fell into it.
    """

    __slots__ = ("buckets", "count", "maximum", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.maximum = 0
        self.buckets: dict[int, int] = {}

    def record(self, duration: int) -> None:
        """Count one duration; a negative one counts as 0."""
        if duration < _LINEAR:
            duration = bucket = max(duration, 0)
        else:
            shift = duration.bit_length() - _BITS - 1
            bucket = (shift << _BITS) + (duration >> shift)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += duration
        if duration > self.maximum:
            self.maximum = duration

    def add(self, other: "Histogram") -> None:
        """Count everything another histogram counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    @property
    def mean(self) -> float:
        """The exact mean; 0 when there is none."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation, as exact as the buckets; 0 when there is none."""
        squares = sum(count * (upper - self.mean) ** 2 for upper, count in self.counts())
        return math.sqrt(squares / self.count) if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """
        Return the duration that ``percent`` of all are not longer than.

        The answer is the upper end of the bucket the exact one lies in, never above the maximum;
        0 when nothing was recorded.
        """
        rank = max(1, -int(-self.count * percent // 100))
        for upper, count in self.counts():
            rank -= count
            if rank <= 0:
                return upper
        return self.maximum

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yield the upper end of each bucket that is not empty and its count, ascending."""
        for bucket in sorted(self.buckets):
            yield min(_upper(bucket), self.maximum), self.buckets[bucket]


def _upper(bucket: int) -> int:
    """Return the largest duration that falls into a bucket."""
    if bucket < _LINEAR:
        return bucket
    shift = (bucket >> _BITS) - 1
    return ((bucket - (shift << _BITS) + 1) << shift) - 1
