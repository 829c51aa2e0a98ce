"""Tests of the metrics as Prometheus reads them."""

import gc
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inferd.scheduling.inline import inline_policy
from inferd.scheduling.statistics import ModelStatistics, PaddingStatistics
from inferd.telemetry.instruments import MODEL_INSTRUMENTS, ModelSeries
from inferd.telemetry.metrics import Metrics


def series(name="m", version="1", **tags):
    """Return a version with all optional series and one batch; nothing else is counted."""
    statistics = ModelStatistics(
        uses_cache=True,
        padding=PaddingStatistics(),
        inline=inline_policy("auto"),
        combines=True,
        batch_closes={"full": 1},
    )
    return ModelSeries(name, version, tags, statistics)


@pytest.fixture
def make():
    """Builds metrics over a list of series and closes them."""
    made = []

    def build(models, **options):
        metrics = Metrics(lambda: models, **{"cpu_metrics": False, **options})
        made.append(metrics)
        return metrics

    yield build
    for metrics in made:
        metrics.close()


def parse(text):
    """
    Return (name, labels) -> value as Prometheus's own parser reads it.

    The parser renames counters to the name OpenMetrics would have for them.
    """
    return {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counters_say_what_the_statistics_say(make):
    """After three requests the counter says 3, in exactly the text Triton writes."""
    model = series()
    metrics = make([model])
    for _ in range(3):
        model.statistics.record_success(2_000, 1_000, 0, 1_000, 0)
    lines = metrics.render().decode().splitlines()
    assert 'nv_inference_request_success{model="m",version="1"} 3' in lines
    assert 'nv_inference_request_duration_us{model="m",version="1"} 6' in lines
    assert 'nv_inference_request_failure{model="m",reason="REJECTED",version="1"} 0' in lines
    assert 'nv_inference_pending_request_count{model="m",version="1"} 0' in lines


def test_prometheus_reads_every_series(make):
    """Prometheus's parser finds every metric, with the labels model and version only."""
    values = parse(make([series()]).render())
    labels = (("model", "m"), ("version", "1"))
    plain = {row.name for row in MODEL_INSTRUMENTS if not row.label}
    assert {name for name, found in values if found == labels} == plain
    assert {
        dict(found)["reason"] for name, found in values if name == "nv_inference_request_failure"
    } == {"REJECTED", "CANCELED", "BACKEND", "OTHER"}
    assert values["inferd_batch_close", (*labels[:1], ("reason", "full"), *labels[1:])] == 1
    assert len(values) == len(plain) + 5


def test_a_version_without_the_cache_has_no_metrics_of_it(make):
    """Another one has; and where none has, the families are missing altogether."""
    plain = ModelSeries("p", "1", {}, ModelStatistics())
    text = make([plain, series()]).render().decode()
    assert 'nv_cache_num_hits_per_model{model="m",version="1"} 0\n' in text
    assert text.count("nv_cache_num_hits_per_model{") == 1
    assert "nv_cache_" not in make([plain]).render().decode()


def test_a_model_that_never_batches_says_nothing_of_batches(make):
    """And where no model does, the metric is missing altogether."""
    plain = ModelSeries("p", "1", {}, ModelStatistics(batch_closes={"full": 3}))
    assert 'inferd_batch_close{model="m",reason="full",version="1"} 1\n' in (
        make([plain, series()]).render().decode()
    )
    assert b"inferd_batch_close" not in make([plain]).render()


def test_help_and_type_come_first(make):
    """A metric starts with its help text and its kind."""
    assert (
        make([series()])
        .render()
        .startswith(
            b"# HELP nv_inference_request_success "
            b"Number of successful inference requests, all batch sizes\n"
            b"# TYPE nv_inference_request_success counter\n"
        )
    )


def test_counters_read_anew_at_every_scrape(make):
    """A later scrape tells later numbers."""
    model = series()
    metrics = make([model])
    metrics.render()
    model.statistics.record_execution(5, 0, 0, 0)
    assert b'nv_inference_count{model="m",version="1"} 5\n' in metrics.render()


def test_unloaded_model_disappears(make):
    """The series of an unloaded model end, and their metric when it was the last."""
    models = [series("kept"), series("gone")]
    metrics = make(models)
    assert b'model="gone"' in metrics.render()
    models.pop()
    assert b"gone" not in metrics.render()
    models.pop()
    assert metrics.render() == b""


def test_reloaded_model_starts_at_zero(make):
    """A model that is loaded again counts from zero."""
    models = [series()]
    metrics = make(models)
    models[0].statistics.record_failure("OTHER", 1)
    assert b'reason="OTHER",version="1"} 1\n' in metrics.render()
    models[0] = series()
    assert b'reason="OTHER",version="1"} 0\n' in metrics.render()


def test_tags_are_labels_of_their_model_only(make):
    """A tagged model has its label, and an untagged one has no empty one."""
    text = make([series("a", team="x"), series("b")]).render()
    assert b'nv_inference_count{_team="x",model="a",version="1"} 0\n' in text
    assert b'nv_inference_count{model="b",version="1"} 0\n' in text


@pytest.mark.parametrize("count", [0, 1, 4, 5, 600])
def test_any_number_of_models(make, count):
    """No series is lost or merged, however many models there are."""
    values = parse(make([series(f"m{index}") for index in range(count)]).render())
    assert len(values) == count * (len(MODEL_INSTRUMENTS) + 3)


def test_forgotten_versions_cost_no_memory(make):
    """Hundreds of reloads as new versions do not pile up, and the newest is reported alone."""
    models = [series()]
    metrics = make(models)
    for version in range(600):
        models[0] = series(version=str(version))
        models[0].statistics.inference_count = version
        text = metrics.render()
        assert f'nv_inference_count{{model="m",version="{version}"}} {version}\n' in text.decode()
        assert text.count(b"nv_inference_count{") == 1
    gc.collect()
    kept = sum(type(found).__name__ == "_SumAggregation" for found in gc.get_objects())
    assert kept < 300 * (len(MODEL_INSTRUMENTS) + 3)


def test_scrapes_may_overlap(make):
    """Two scrapes that take turns both see every model."""
    from inferd.telemetry.prometheus import Exposition

    metrics = make([series(f"m{index}") for index in range(9)])
    first, second = Exposition(), Exposition()
    for _ in zip(metrics.read_into(first), metrics.read_into(second), strict=True):
        pass
    assert first.encode() == second.encode() == metrics.render()


def test_without_latency_counters(make):
    """Switching the latency counters off hides them and nothing else."""
    model = series()
    model.statistics.record_success(1, 1, 1, 1, 1)
    text = make([model], counter_latencies=False).render().decode()
    assert "_duration_us" not in text
    assert 'nv_inference_request_success{model="m",version="1"} 1\n' in text
    assert "nv_model_load_duration_secs" in text


def test_host_metrics_have_no_labels(make):
    """The machine's numbers are there once, without labels, also without any model."""
    values = parse(make([], cpu_metrics=True).render())
    assert {labels for _, labels in values} == {()}
    assert 0.0 <= values["nv_cpu_utilization", ()] <= 1.0
    used = values["nv_cpu_memory_used_bytes", ()]
    assert 0 < used < values["nv_cpu_memory_total_bytes", ()]


def test_host_metrics_come_once(make):
    """Many models do not repeat the machine's numbers."""
    text = make([series(f"m{index}") for index in range(9)], cpu_metrics=True).render()
    assert text.count(b"\nnv_cpu_memory_total_bytes ") == 1


def test_opentelemetry_is_imported_only_when_built():
    """Importing the module does not import OpenTelemetry, so the start-up does not pay for it."""
    code = (
        "import sys, inferd.telemetry.http;"
        "sys.exit('opentelemetry' in sys.modules or 'prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
