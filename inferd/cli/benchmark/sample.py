"""What was measured: by one process in a short time, and by all of them in a window."""

from dataclasses import dataclass, field

from inferd.cli.benchmark.histogram import Histogram


@dataclass(slots=True)
class Sample:
    """
    Counts of one process, or of several added up.

    Attributes:
        elapsed_ns: How long it was measured; of several processes the mean.
        latencies: Of every request that was answered, in nanoseconds.
        first_responses: Time to the first response of each, where there can be several.
        responses: How many responses the requests had.
        failures: Message -> how many requests failed with it.
        late: Requests of a rate that were sent over 1 ms after they were due.
        cpu_ns: Processor time the load processes took.
        last: Whether the process has finished the level.
    """

    elapsed_ns: int = 0
    latencies: Histogram = field(default_factory=Histogram)
    first_responses: Histogram = field(default_factory=Histogram)
    responses: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    late: int = 0
    cpu_ns: int = 0
    last: bool = False

    @property
    def answered(self) -> int:
        """How many requests were answered well."""
        return self.latencies.count

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Requests answered well per second."""
        return self.answered * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def response_rate(self) -> float:
        """Responses per second."""
        return self.responses * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0

    def add(self, other: "Sample") -> None:
        """Add counts, but not the elapsed time."""
        self.latencies.add(other.latencies)
        self.first_responses.add(other.first_responses)
        self.responses += other.responses
        self.late += other.late
        self.cpu_ns += other.cpu_ns
        for message, count in other.failures.items():
            self.failures[message] = self.failures.get(message, 0) + count


class Window:
    """
    Adds up the samples of several processes.

    Args:
        processes: How many there are.
    """

    __slots__ = ("_elapsed", "sample")

    def __init__(self, processes: int) -> None:
        self.sample = Sample()
        self._elapsed = [0] * processes

    def add(self, index: int, sample: Sample) -> None:
        """Add what one process measured next."""
        self.sample.add(sample)
        self._elapsed[index] += sample.elapsed_ns
        self.sample.elapsed_ns = sum(self._elapsed) // len(self._elapsed)

    def is_over(self, interval_ns: int, requests: int = 1) -> bool:
        """Whether every process measured for ``interval_ns`` and ``requests`` were finished."""
        finished = self.sample.answered + self.sample.failed
        return finished >= requests and min(self._elapsed) >= interval_ns


def merged(samples: list[Sample]) -> Sample:
    """Return the samples of windows that followed each other as one."""
    total = Sample()
    for sample in samples:
        total.add(sample)
        total.elapsed_ns += sample.elapsed_ns
    return total


def is_stable(samples: list[Sample], within: float, percent: float | None) -> bool:
    """
    Whether the last three windows differ little, as perf_analyzer asks.

    Args:
        samples: The windows in order.
        within: How many percent the largest of the three may be above the smallest.
        percent: The percentile of the latency that counts; ``None`` for the mean latency.
    """
    if len(samples) < 3 or any(not sample.answered for sample in samples[-3:]):
        return False
    rates = [sample.rate for sample in samples[-3:]]
    latencies = [latency(sample, percent) for sample in samples[-3:]]
    return all(max(values) <= min(values) * (1 + within / 100) for values in (rates, latencies))


def latency(sample: Sample, percent: float | None) -> float:
    """Return a percentile of the latency in nanoseconds, or its mean."""
    if percent is None:
        return sample.latencies.mean
    return sample.latencies.percentile(percent)
