"""
The integer counters of one model version.

The scheduler adds to them on the event loop; the statistics call and the metrics
read them. They live here, with the one who counts, and know nothing of either reader.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from inferd.scheduling.inline import InlinePolicy

FAILURE_REASONS: Final = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
"""The values of the failure counter's ``reason`` label (Triton's)."""


@dataclass(slots=True)
class Duration:
    """How often something happened and how long it took in all, in nanoseconds."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count one more that took ``ns``."""
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class BatchStatistics:
    """The executions of one batch size."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


ResponseKind = Literal["success", "fail", "empty_response", "cancel"]
"""How one of a request's responses is counted, by Triton's names."""

MAX_RESPONSES: Final = 10_000
"""Responses of one request that are counted apart; the ones after them are counted as the last."""


@dataclass(slots=True)
class ResponseStatistics:
    """The responses of one place in the order of their requests, decoupled models only."""

    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    empty_response: Duration = field(default_factory=Duration)
    cancel: Duration = field(default_factory=Duration)


@dataclass(slots=True)
class PaddingStatistics:
    """
    What padding requests to a common shape has cost a model.

    Attributes:
        elements: Elements of padded inputs that the model was given.
        padded_elements: Those among them that no client sent.
    """

    elements: int = 0
    padded_elements: int = 0


@dataclass(slots=True)
class ModelStatistics:
    """
    What one model version has done since it was loaded.

    Attributes:
        last_inference_ms: Wall-clock start of the last request, in milliseconds since
            the epoch; 0 when there was none.
        inference_count: Inferences performed: rows, not requests.
        execution_count: Batches executed.
        pending: Requests that wait for an execution now.
        success: Requests answered, and their time from arrival to answer.
        fail: Requests that failed, and their time.
        queue: Time successful requests waited for an execution.
        compute_input: Gathering time, once per successful request.
        compute_infer: Backend time, once per successful request.
        compute_output: Scattering time, once per successful request.
        failures: Failed requests by reason.
        batches: Batch size -> its executions.
        responses: Place of a response among its request's, from 0 -> such responses.
        request_us: Sums of per-request durations, each truncated to microseconds as
            Triton's counters are: request, queue, compute input, infer, output.
        load_ns: How long loading took, in nanoseconds.
        uses_cache: Whether the version has the response cache.
        inline: Says whether executions run on the event loop; ``None`` for a version that
            executes nothing itself.
        cache_hit: Requests answered without an execution, and the time that took them.
        cache_miss: Answered requests the cache did not have, and the time that looking
            them up and keeping the answer took.
        cache_hit_us: Sum of the hits' times, each truncated to microseconds; likewise
            ``cache_miss_us``.
        padding: What padding has cost; ``None`` for a model that pads nothing.
        combines: Whether requests may be put together.
        batch_closes: Why executed batches closed -> how many.
    """

    last_inference_ms: int = 0
    inference_count: int = 0
    execution_count: int = 0
    pending: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAILURE_REASONS, 0))
    batches: dict[int, BatchStatistics] = field(default_factory=dict)
    responses: dict[int, ResponseStatistics] = field(default_factory=dict)
    request_us: int = 0
    queue_us: int = 0
    compute_input_us: int = 0
    compute_infer_us: int = 0
    compute_output_us: int = 0
    load_ns: int = 0
    uses_cache: bool = False
    inline: InlinePolicy | None = None
    cache_hit: Duration = field(default_factory=Duration)
    cache_miss: Duration = field(default_factory=Duration)
    cache_hit_us: int = 0
    cache_miss_us: int = 0
    padding: PaddingStatistics | None = None
    combines: bool = False
    batch_closes: dict[str, int] = field(default_factory=dict)

    def record_success(
        self, total_ns: int, queue_ns: int, input_ns: int, infer_ns: int, output_ns: int
    ) -> None:
        """Count one answered request; durations in nanoseconds."""
        self.request_us += total_ns // 1000
        self.queue_us += queue_ns // 1000
        self.record_successes(1, total_ns, queue_ns, (input_ns, infer_ns, output_ns))

    def record_successes(
        self, count: int, total_ns: int, queue_ns: int, parts_ns: tuple[int, int, int]
    ) -> None:
        """
        Count answered requests of one execution, but for ``request_us`` and ``queue_us``.

        Args:
            count: How many.
            total_ns: Their times from arrival to answer added up, in nanoseconds.
            queue_ns: The times they waited added up.
            parts_ns: How long gathering, the backend and scattering took, once.
        """
        input_ns, infer_ns, output_ns = parts_ns
        # Written out: five calls would take longer than all the rest of it.
        duration = self.success
        duration.count += count
        duration.ns += total_ns
        duration = self.queue
        duration.count += count
        duration.ns += queue_ns
        duration = self.compute_input
        duration.count += count
        duration.ns += input_ns * count
        duration = self.compute_infer
        duration.count += count
        duration.ns += infer_ns * count
        duration = self.compute_output
        duration.count += count
        duration.ns += output_ns * count
        self.compute_input_us += input_ns // 1000 * count
        self.compute_infer_us += infer_ns // 1000 * count
        self.compute_output_us += output_ns // 1000 * count

    def record_cache_hit(self, total_ns: int, hit_ns: int) -> None:
        """Count one request answered without an execution of its own: a success, never queued."""
        self.success.add(total_ns)
        self.queue.add(0)
        self.request_us += total_ns // 1000
        self.cache_hit.add(hit_ns)
        self.cache_hit_us += hit_ns // 1000

    def record_cache_miss(self, miss_ns: int) -> None:
        """Count one answered request the cache did not have; the success is counted apart."""
        self.cache_miss.add(miss_ns)
        self.cache_miss_us += miss_ns // 1000

    def record_failure(self, reason: str, total_ns: int) -> None:
        """Count one failed request under one of :data:`FAILURE_REASONS`."""
        self.fail.add(total_ns)
        self.failures[reason] += 1

    def record_response(
        self, index: int, infer_ns: int, output_ns: int, kind: ResponseKind
    ) -> None:
        """
        Count one response of a decoupled model.

        Args:
            index: Its place among the responses of its request, from 0.
            infer_ns: How long the backend took for it, in nanoseconds.
            output_ns: How long it waited for the client to take the ones before.
            kind: What it told.
        """
        index = min(index, MAX_RESPONSES - 1)
        found = self.responses.get(index)
        if found is None:
            found = self.responses[index] = ResponseStatistics()
        if kind in ("success", "fail"):
            found.compute_infer.add(infer_ns)
            found.compute_output.add(output_ns)
        duration: Duration = getattr(found, kind)
        duration.add(infer_ns + output_ns)

    def record_execution(
        self, batch_size: int, input_ns: int, infer_ns: int, output_ns: int
    ) -> None:
        """Count one execution of ``batch_size`` rows; durations in nanoseconds."""
        self.execution_count += 1
        self.inference_count += batch_size
        batch = self.batches.get(batch_size)
        if batch is None:
            batch = self.batches[batch_size] = BatchStatistics()
        batch.compute_input.add(input_ns)
        batch.compute_infer.add(infer_ns)
        batch.compute_output.add(output_ns)
