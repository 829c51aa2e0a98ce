"""Tests of what the server's statistics tell."""

from inferd._generated.inference import InferStatistics, ModelStatistics, StatisticDuration
from inferd.cli.benchmark.server_side import ServerSide, read


def statistics(count):
    """Return the statistics of ``count`` requests of 10 µs."""
    duration = StatisticDuration(count=count, ns=10_000 * count)
    return ModelStatistics(
        inference_count=4 * count,
        execution_count=2 * count,
        inference_stats=InferStatistics(success=duration, queue=duration, compute_infer=duration),
    )


def test_difference_of_two_readings():
    """What was counted in between is told per request."""
    found = read([statistics(15)]).since(read([statistics(5)]))
    assert (found.successes, found.inferences, found.executions) == (10, 40, 20)
    assert found.batch_size == 2.0
    assert found.per_request(found.queue_ns) == 10.0
    assert found.parts_ns == (100_000, 0, 100_000, 0)


def test_versions_add_up():
    """The statistics of several versions are one model's; versions may lack statistics."""
    assert read([statistics(1), statistics(2), ModelStatistics()]).successes == 3


def test_nothing_happened():
    """Without executions and requests there is nothing to divide by."""
    assert (ServerSide().batch_size, ServerSide().per_request(5)) == (0.0, 0.0)
