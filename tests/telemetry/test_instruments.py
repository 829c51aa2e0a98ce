"""Tests of the table of metrics."""

import pytest

from inferd.scheduling.inline import inline_policy
from inferd.scheduling.statistics import ModelStatistics, PaddingStatistics
from inferd.telemetry.host import HostReadings
from inferd.telemetry.instruments import HOST_INSTRUMENTS, MODEL_INSTRUMENTS, ModelSeries


def test_every_model_metric_reads_its_own_number():
    """Each of Triton's names reports the statistic of that name."""
    statistics = ModelStatistics(pending=7, load_ns=1_500_000_000)
    statistics.record_success(100_999, 20_999, 3_999, 40_999, 5_999)
    statistics.record_success(100_000, 20_000, 3_000, 40_000, 5_000)
    statistics.record_failure("BACKEND", 1)
    statistics.record_execution(4, 1, 1, 1)
    assert {row.name: row.read(statistics) for row in MODEL_INSTRUMENTS} == {
        "nv_inference_request_success": 2,
        "nv_inference_request_failure": {"REJECTED": 0, "CANCELED": 0, "BACKEND": 1, "OTHER": 0},
        "nv_inference_count": 4,
        "nv_inference_exec_count": 1,
        "nv_inference_request_duration_us": 200,
        "nv_inference_queue_duration_us": 40,
        "nv_inference_compute_input_duration_us": 6,
        "nv_inference_compute_infer_duration_us": 80,
        "nv_inference_compute_output_duration_us": 10,
        "nv_cache_num_hits_per_model": None,
        "nv_cache_num_misses_per_model": None,
        "nv_cache_hit_duration_per_model": None,
        "nv_cache_miss_duration_per_model": None,
        "inferd_collate_elements": None,
        "inferd_collate_padded_elements": None,
        "nv_inference_pending_request_count": 7,
        "nv_model_load_duration_secs": 1.5,
        "inferd_model_runs_inline": None,
        "inferd_batch_close": None,
    }


def test_only_models_that_batch_say_why_batches_closed():
    """One number per reason there was."""
    row = next(row for row in MODEL_INSTRUMENTS if row.name == "inferd_batch_close")

    assert row.read(ModelStatistics(batch_closes={"full": 1})) is None
    assert row.read(ModelStatistics(batch_closes={"full": 1}, combines=True)) == {"full": 1}


def test_versions_with_the_cache_have_its_metrics():
    """Hits, misses and their times; a hit is a success, too."""
    statistics = ModelStatistics(uses_cache=True)
    statistics.record_cache_hit(9_000, 2_999)
    statistics.record_cache_miss(4_999)
    statistics.record_cache_miss(1_000)
    values = {row.name: row.read(statistics) for row in MODEL_INSTRUMENTS}

    assert {name: value for name, value in values.items() if name.startswith("nv_cache_")} == {
        "nv_cache_num_hits_per_model": 1,
        "nv_cache_num_misses_per_model": 2,
        "nv_cache_hit_duration_per_model": 2,
        "nv_cache_miss_duration_per_model": 5,
    }
    assert values["nv_inference_request_success"] == 1
    assert values["nv_inference_request_duration_us"] == 9


def test_versions_that_pad_their_requests_have_its_metrics():
    """All elements of padded inputs, and those that are padding."""
    statistics = ModelStatistics(padding=PaddingStatistics(elements=16, padded_elements=6))
    values = {row.name: row.read(statistics) for row in MODEL_INSTRUMENTS}

    assert values["inferd_collate_elements"] == 16
    assert values["inferd_collate_padded_elements"] == 6


@pytest.mark.parametrize(("place", "value"), [("inline", 1), ("thread", 0), ("auto", 0)])
def test_where_a_model_runs_is_seen(place, value):
    """A version that executes nothing itself has no such series."""
    statistics = ModelStatistics(inline=inline_policy(place))
    values = {row.name: row.read(statistics) for row in MODEL_INSTRUMENTS}

    assert values["inferd_model_runs_inline"] == value


def test_every_host_metric_reads_its_own_number():
    """Each host metric reports the reading of that name."""
    assert {row.name: row.read(HostReadings(0.5, 8, 6)) for row in HOST_INSTRUMENTS} == {
        "nv_cpu_utilization": 0.5,
        "nv_cpu_memory_total_bytes": 8,
        "nv_cpu_memory_used_bytes": 6,
    }


def test_only_gauges_may_fall():
    """What can go down is a gauge; rates over everything else are right."""
    rows = (*MODEL_INSTRUMENTS, *HOST_INSTRUMENTS)
    assert {row.name for row in rows if row.kind == "gauge"} == {
        "nv_inference_pending_request_count",
        "nv_model_load_duration_secs",
        "inferd_model_runs_inline",
        "nv_cpu_utilization",
        "nv_cpu_memory_total_bytes",
        "nv_cpu_memory_used_bytes",
    }


def test_metric_tags_become_labels():
    """A metric tag of the model config is a label with an underscore in front."""
    series = ModelSeries("m", "1", {"team": "x"}, ModelStatistics())
    assert series.labels() == {"model": "m", "version": "1", "_team": "x"}
