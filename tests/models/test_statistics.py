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


def test_responses_are_there_by_their_place():
    """As text, in ascending order of the numbers; other models have none."""
    statistics = ModelStatistics()
    assert to_message("m", 1, statistics).response_stats == {}
    for index in (10, 0, 2):
        statistics.record_response(index, 30, 4, "success")
    statistics.record_response(2, 5, 6, "fail")
    statistics.record_response(2, 7, 0, "empty_response")
    statistics.record_response(2, 9, 0, "cancel")
    found = to_message("m", 1, statistics).response_stats

    assert list(found) == ["0", "2", "10"]
    assert (found["2"].compute_infer.count, found["2"].compute_infer.ns) == (2, 35)
    assert (found["2"].compute_output.count, found["2"].compute_output.ns) == (2, 10)
    assert (found["2"].success.ns, found["2"].fail.ns) == (34, 11)
    assert (found["2"].empty_response.ns, found["2"].cancel.ns) == (7, 9)
