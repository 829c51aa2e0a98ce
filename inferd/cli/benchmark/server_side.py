"""What a server's own statistics say about a time span: the difference of two readings."""

from dataclasses import dataclass

from inferd._generated.inference import ModelStatistics, StatisticDuration

_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class ServerSide:
    """
    Counters of one model, of all its versions that were asked for.

    Attributes:
        inferences: Rows that were inferred.
        executions: How often the model ran.
        successes: Requests answered well.
        failures: Requests that failed.
        cache_hits: Requests answered from the response cache.
        cache_hit_ns: Time of those in the cache.
        success_ns: Time of the successful requests in the server.
        queue_ns: Part of it spent in the queue.
        compute_input_ns: Part spent on preparing inputs.
        compute_infer_ns: Part spent on executing.
        compute_output_ns: Part spent on outputs.
    """

    inferences: int = 0
    executions: int = 0
    successes: int = 0
    failures: int = 0
    cache_hits: int = 0
    cache_hit_ns: int = 0
    success_ns: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0

    def since(self, before: "ServerSide") -> "ServerSide":
        """Return what was counted since an earlier reading."""
        names = ServerSide.__slots__
        return ServerSide(*(getattr(self, name) - getattr(before, name) for name in names))

    @property
    def parts_ns(self) -> tuple[int, int, int, int]:
        """Time in the queue, on inputs, on execution and on outputs."""
        return (
            self.queue_ns,
            self.compute_input_ns,
            self.compute_infer_ns,
            self.compute_output_ns,
        )

    @property
    def batch_size(self) -> float:
        """Rows per execution; 0 without one."""
        return self.inferences / self.executions if self.executions else 0.0

    def per_request(self, total_ns: int) -> float:
        """Return a total as microseconds per successful request; 0 without one."""
        return total_ns / self.successes / 1000 if self.successes else 0.0


def read(models: list[ModelStatistics]) -> ServerSide:
    """Add up the statistics of a model's versions."""
    counts = dict.fromkeys(ServerSide.__slots__, 0)
    for model in models:
        counts["inferences"] += model.inference_count
        counts["executions"] += model.execution_count
        stats = model.inference_stats
        if stats is None:
            continue
        counts["successes"] += _of(stats.success).count
        counts["success_ns"] += _of(stats.success).ns
        counts["failures"] += _of(stats.fail).count
        counts["cache_hits"] += _of(stats.cache_hit).count
        counts["cache_hit_ns"] += _of(stats.cache_hit).ns
        for part in _PARTS:
            counts[f"{part}_ns"] += _of(getattr(stats, part)).ns
    return ServerSide(**counts)


def _of(duration: StatisticDuration | None) -> StatisticDuration:
    return duration or StatisticDuration()
