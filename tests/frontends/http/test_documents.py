"""The order of members in metadata, statistics and the index."""

import json

from inferd._generated.inference import (
    InferResponseStatistics,
    ModelStatistics,
    RepositoryIndexResponseModelIndex,
    StatisticDuration,
)
from inferd.frontends.http import documents

_ZERO = {"count": 0, "ns": 0}


def test_statistics_have_every_member_in_order():
    """A model that did nothing yet still has all its counters."""
    model = ModelStatistics(
        name="m",
        version="1",
        response_stats={"0": InferResponseStatistics(success=StatisticDuration(count=2, ns=7))},
    )
    (entry,) = documents.statistics([model])["model_stats"]
    assert list(entry) == [
        "name",
        "version",
        "last_inference",
        "inference_count",
        "execution_count",
        "inference_stats",
        "response_stats",
        "batch_stats",
        "memory_usage",
    ]
    assert entry["inference_stats"]["cache_miss"] == _ZERO
    assert list(entry["inference_stats"]) == [
        "success",
        "fail",
        "queue",
        "compute_input",
        "compute_infer",
        "compute_output",
        "cache_hit",
        "cache_miss",
    ]
    assert entry["response_stats"]["0"]["success"] == {"count": 2, "ns": 7}
    assert json.dumps(entry["batch_stats"] + entry["memory_usage"]) == "[]"


def test_the_index_leaves_out_what_is_not_known():
    """A model that was never loaded has only a name."""
    models = [
        RepositoryIndexResponseModelIndex(name="new"),
        RepositoryIndexResponseModelIndex(
            name="old", version="1", state="UNAVAILABLE", reason="unloaded"
        ),
    ]
    assert documents.index(models) == [
        {"name": "new"},
        {"name": "old", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
    ]
