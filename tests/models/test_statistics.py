"""Counters as the protocol's message."""

from inferd.models.statistics import to_message
from inferd.scheduling.statistics import ModelStatistics


def test_counters_arrive_in_the_message():
    """Batch sizes ascend."""
    statistics = ModelStatistics(last_inference_ms=5)
    statistics.record_execution(4, 1, 2, 3)
    statistics.record_execution(1, 1, 2, 3)
    statistics.record_success(50, 10, 1, 2, 3)
    statistics.record_failure("OTHER", 7)
    statistics.record_cache_hit(5, 3)
    statistics.record_cache_miss(4)
    message = to_message("m", 2, statistics)

    assert (message.name, message.version, message.last_inference) == ("m", "2", 5)
    assert (message.inference_count, message.execution_count) == (5, 2)
    assert message.inference_stats.success.ns == 55
    assert (message.inference_stats.cache_hit.count, message.inference_stats.cache_hit.ns) == (1, 3)
    assert message.inference_stats.cache_miss.ns == 4
    assert message.inference_stats.fail.count == 1
    assert [batch.batch_size for batch in message.batch_stats] == [1, 4]
    assert message.batch_stats[0].compute_infer.ns == 2
