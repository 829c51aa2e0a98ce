"""
The table of metrics: every name Triton has that our statistics can feed, and how each is read.

Names, kinds and help texts are Triton's, because dashboards, alerts and autoscalers are
written against them; what only inferd has begins with ``inferd_``. Each row says how to
read its number from a model version's
:class:`~inferd.scheduling.statistics.ModelStatistics` or from the host when somebody
scrapes; counting itself is the scheduler's integer additions.

Triton, asked for no latency counters, leaves the request counters at zero as well. That
is a defect of its reporter, so here they count on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from inferd.scheduling.statistics import ModelStatistics
from inferd.telemetry.host import HostReadings

Kind = Literal["counter", "gauge"]


@dataclass(frozen=True, slots=True)
class ModelSeries:
    """
    One loaded model version as the metrics see it.

    Attributes:
        model: The model's name; the label ``model``.
        version: The version number; the label ``version``.
        tags: The model config's ``metric_tags``; tag ``t`` becomes the label ``_t``.
        statistics: The live counters.
    """

    model: str
    version: str
    tags: Mapping[str, str]
    statistics: ModelStatistics

    def labels(self) -> dict[str, str]:
        """Return the labels every series of this version has."""
        labels = {"model": self.model, "version": self.version}
        labels.update((f"_{tag}", value) for tag, value in self.tags.items())
        return labels


@dataclass(frozen=True, slots=True)
class ModelInstrument:
    """
    A metric with one series per model version, or several told apart by one more label.

    Attributes:
        name: The metric's name.
        kind: Whether it only grows.
        description: Triton's help text.
        read: Returns the number now, or one number per value of ``label``; None hides
            the version.
        label: The label that tells several series of one version apart.
        latency: Whether it is one of the counters that ``counter_latencies`` switches:
            the five cumulative durations and, as in Triton, those of the cache.
    """

    name: str
    kind: Kind
    description: str
    read: Callable[[ModelStatistics], float | Mapping[str, float] | None]
    label: str = ""
    latency: bool = False


@dataclass(frozen=True, slots=True)
class HostInstrument:
    """A metric of the machine, with one series and no labels; None hides it."""

    name: str
    kind: Kind
    description: str
    read: Callable[[HostReadings], float | None]


def _latency(name: str, what: str, read: Callable[[ModelStatistics], float]) -> ModelInstrument:
    return ModelInstrument(name, "counter", what, read, latency=True)


def _of_cache(name: str, what: str, read: Callable[[ModelStatistics], float]) -> ModelInstrument:
    """Return a counter that only versions with the response cache have."""
    return ModelInstrument(
        name, "counter", what, lambda s: read(s) if s.uses_cache else None, latency=True
    )


MODEL_INSTRUMENTS: Final = (
    ModelInstrument(
        "nv_inference_request_success",
        "counter",
        "Number of successful inference requests, all batch sizes",
        lambda s: s.success.count,
    ),
    ModelInstrument(
        "nv_inference_request_failure",
        "counter",
        "Number of failed inference requests, all batch sizes",
        lambda s: s.failures,
        label="reason",
    ),
    ModelInstrument(
        "nv_inference_count",
        "counter",
        "Number of inferences performed (does not include cached requests)",
        lambda s: s.inference_count,
    ),
    ModelInstrument(
        "nv_inference_exec_count",
        "counter",
        "Number of model executions performed (does not include cached requests)",
        lambda s: s.execution_count,
    ),
    _latency(
        "nv_inference_request_duration_us",
        "Cumulative inference request duration in microseconds (includes cached requests)",
        lambda s: s.request_us,
    ),
    _latency(
        "nv_inference_queue_duration_us",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        lambda s: s.queue_us,
    ),
    _latency(
        "nv_inference_compute_input_duration_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        lambda s: s.compute_input_us,
    ),
    _latency(
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        lambda s: s.compute_infer_us,
    ),
    _latency(
        "nv_inference_compute_output_duration_us",
        "Cumulative inference compute output duration in microseconds "
        "(does not include cached requests)",
        lambda s: s.compute_output_us,
    ),
    _of_cache(
        "nv_cache_num_hits_per_model",
        "Number of cache hits per model",
        lambda s: s.cache_hit.count,
    ),
    _of_cache(
        "nv_cache_num_misses_per_model",
        "Number of cache misses per model",
        lambda s: s.cache_miss.count,
    ),
    _of_cache(
        "nv_cache_hit_duration_per_model",
        "Total cache hit duration per model, in microseconds",
        lambda s: s.cache_hit_us,
    ),
    _of_cache(
        "nv_cache_miss_duration_per_model",
        "Total cache miss (insert+lookup) duration per model, in microseconds",
        lambda s: s.cache_miss_us,
    ),
    ModelInstrument(
        "inferd_collate_elements",
        "counter",
        "Number of elements of padded inputs that the model was given",
        lambda s: None if s.padding is None else s.padding.elements,
    ),
    ModelInstrument(
        "inferd_collate_padded_elements",
        "counter",
        "Number of elements among them that are padding",
        lambda s: None if s.padding is None else s.padding.padded_elements,
    ),
    ModelInstrument(
        "nv_inference_pending_request_count",
        "gauge",
        "Instantaneous number of pending requests awaiting execution per-model.",
        lambda s: s.pending,
    ),
    ModelInstrument(
        "nv_model_load_duration_secs",
        "gauge",
        "Model load time in seconds",
        lambda s: s.load_ns / 1e9,
    ),
    ModelInstrument(
        "inferd_model_runs_inline",
        "gauge",
        "Whether the model's executions run on the event loop (1) or on a thread (0)",
        lambda s: None if s.inline is None else int(s.inline.inline),
    ),
    ModelInstrument(
        "inferd_batch_close",
        "counter",
        "Number of batches executed, by the reason each took no more requests",
        lambda s: s.batch_closes if s.combines else None,
        label="reason",
    ),
)
"""The metrics of one model version, in the order they are written."""

HOST_INSTRUMENTS: Final = (
    HostInstrument(
        "nv_cpu_utilization",
        "gauge",
        "CPU utilization rate [0.0 - 1.0]",
        lambda host: host.cpu_utilization,
    ),
    HostInstrument(
        "nv_cpu_memory_total_bytes",
        "gauge",
        "CPU total memory (RAM), in bytes",
        lambda host: host.memory_total_bytes,
    ),
    HostInstrument(
        "nv_cpu_memory_used_bytes",
        "gauge",
        "CPU used memory (RAM), in bytes",
        lambda host: host.memory_used_bytes,
    ),
)
"""The metrics of the machine, in the order they are written."""
