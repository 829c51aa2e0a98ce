"""The counters of a model version."""

import pytest

from inferd.scheduling.statistics import (
    MAX_RESPONSES,
    Duration,
    ModelStatistics,
    ResponseStatistics,
)


def test_success_adds_to_every_duration():
    """Nanoseconds are kept, microseconds are truncated per request."""
    statistics = ModelStatistics()
    statistics.record_success(9_999, 1_500, 1_001, 2_000, 999)
    statistics.record_success(1, 1, 1, 1, 1)

    assert statistics.success == Duration(2, 10_000)
    assert statistics.queue == Duration(2, 1_501)
    assert (statistics.request_us, statistics.queue_us) == (9, 1)
    assert (statistics.compute_input_us, statistics.compute_infer_us) == (1, 2)
    assert statistics.compute_output_us == 0


def test_failures_are_counted_by_reason():
    """The reasons are fixed and start at zero."""
    statistics = ModelStatistics()
    statistics.record_failure("BACKEND", 7)

    assert statistics.failures == {"REJECTED": 0, "CANCELED": 0, "BACKEND": 1, "OTHER": 0}
    assert statistics.fail == Duration(1, 7)


def test_executions_are_counted_by_batch_size():
    """Inferences are rows, executions are batches."""
    statistics = ModelStatistics()
    statistics.record_execution(3, 1, 2, 3)
    statistics.record_execution(3, 1, 2, 3)
    statistics.record_execution(1, 5, 5, 5)

    assert (statistics.inference_count, statistics.execution_count) == (7, 3)
    assert sorted(statistics.batches) == [1, 3]
    assert statistics.batches[3].compute_infer == Duration(2, 4)


def test_a_cache_hit_is_a_success_that_was_not_computed():
    """It was not queued either."""
    statistics = ModelStatistics()
    statistics.record_cache_hit(9_999, 1_999)
    statistics.record_cache_hit(1, 1)

    assert statistics.success == Duration(2, 10_000)
    assert statistics.queue == Duration(2, 0)
    assert statistics.cache_hit == Duration(2, 2_000)
    assert (statistics.request_us, statistics.cache_hit_us) == (9, 1)
    assert statistics.compute_infer.count == statistics.inference_count == 0


def test_a_cache_miss_is_counted_beside_its_success():
    """Nanoseconds are kept, microseconds are truncated per request."""
    statistics = ModelStatistics()
    statistics.record_cache_miss(1_999)
    statistics.record_cache_miss(1)

    assert (statistics.cache_miss, statistics.cache_miss_us) == (Duration(2, 2_000), 1)
    assert statistics.success.count == 0


@pytest.mark.parametrize(
    ("kind", "computed"),
    [("success", True), ("fail", True), ("empty_response", False), ("cancel", False)],
)
def test_responses_are_counted_by_place_and_kind(kind, computed):
    """Those that tell nothing, or that nobody got, were not computed."""
    statistics = ModelStatistics()
    statistics.record_response(0, 5, 1, "success")
    statistics.record_response(1, 20, 3, kind)
    statistics.record_response(1, 30, 4, kind)
    found = statistics.responses[1]

    assert sorted(statistics.responses) == [0, 1]
    assert getattr(found, kind) == Duration(2, 57)
    assert found.compute_infer == (Duration(2, 50) if computed else Duration())
    assert found.compute_output == (Duration(2, 7) if computed else Duration())
    expected = ResponseStatistics(found.compute_infer, found.compute_output)
    setattr(expected, kind, Duration(2, 57))
    assert found == expected


def test_endless_responses_take_no_endless_memory():
    """From a number on they are counted as the last."""
    statistics = ModelStatistics()
    for index in (MAX_RESPONSES - 2, MAX_RESPONSES - 1, MAX_RESPONSES, 10 * MAX_RESPONSES):
        statistics.record_response(index, 1, 0, "success")

    assert {index: found.success.count for index, found in statistics.responses.items()} == {
        MAX_RESPONSES - 2: 1,
        MAX_RESPONSES - 1: 3,
    }
