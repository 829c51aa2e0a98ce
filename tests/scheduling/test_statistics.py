"""The counters of a model version."""

from inferd.scheduling.statistics import Duration, ModelStatistics


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
