"""Renders a version's counters as the protocol's statistics message."""

from inferd._generated import inference as pb
from inferd.scheduling.statistics import (
    BatchStatistics,
    Duration,
    ModelStatistics,
    ResponseStatistics,
)


def to_message(name: str, version: int, statistics: ModelStatistics) -> pb.ModelStatistics:
    """Return the counters as they are now; batch sizes ascend."""
    return pb.ModelStatistics(
        name=name,
        version=str(version),
        last_inference=statistics.last_inference_ms,
        inference_count=statistics.inference_count,
        execution_count=statistics.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(statistics.success),
            fail=_duration(statistics.fail),
            queue=_duration(statistics.queue),
            compute_input=_duration(statistics.compute_input),
            compute_infer=_duration(statistics.compute_infer),
            compute_output=_duration(statistics.compute_output),
            cache_hit=_duration(statistics.cache_hit),
            cache_miss=_duration(statistics.cache_miss),
        ),
        response_stats={
            str(index): _response(response)
            for index, response in sorted(statistics.responses.items())
        },
        batch_stats=[_batch(size, batch) for size, batch in sorted(statistics.batches.items())],
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.ns)


def _response(response: ResponseStatistics) -> pb.InferResponseStatistics:
    return pb.InferResponseStatistics(
        compute_infer=_duration(response.compute_infer),
        compute_output=_duration(response.compute_output),
        success=_duration(response.success),
        fail=_duration(response.fail),
        empty_response=_duration(response.empty_response),
        cancel=_duration(response.cancel),
    )


def _batch(size: int, batch: BatchStatistics) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=size,
        compute_input=_duration(batch.compute_input),
        compute_infer=_duration(batch.compute_infer),
        compute_output=_duration(batch.compute_output),
    )
