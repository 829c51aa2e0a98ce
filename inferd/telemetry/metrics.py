"""
Connects the table of metrics to OpenTelemetry and renders them for Prometheus.

Every instrument is observable: its callback reads the live statistics when somebody
scrapes, so a request pays for nothing but the scheduler's integer additions. A version
that is unloaded is no longer reported by the callbacks, and its series end.

OpenTelemetry takes some 40 microseconds per series, 0.5 ms per model version. A scrape
therefore reads a few versions at a time, and its caller may let the event loop turn in
between; a thread would not help, because it would hold the interpreter lock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from inferd.scheduling.statistics import ModelStatistics
from inferd.telemetry.host import HostReader, HostReadings
from inferd.telemetry.instruments import (
    HOST_INSTRUMENTS,
    MODEL_INSTRUMENTS,
    HostInstrument,
    ModelInstrument,
    ModelSeries,
)
from inferd.telemetry.prometheus import Exposition

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, CallbackT, Meter, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import CollectorRegistry

Labels = dict[str, str]

_VERSIONS_PER_STEP: Final = 4
_SERIES_LIMIT: Final = 1_000_000
"""OpenTelemetry's own limit of 2000 counts dead series too and merges what lies beyond."""

_FORGOTTEN_VERSIONS: Final = 256
"""OpenTelemetry remembers every label set for ever; beyond so many dead ones it is rebuilt."""


class Metrics:
    """
    The process's metrics, read when rendered.

    Building one imports OpenTelemetry, some 0.15 s, which is why no other module of the
    server does: build it once the other services are up.

    Args:
        models: Returns the loaded model versions; called once per scrape.
        counter_latencies: Whether the cumulative durations and the cache's counters are
            reported.
        cpu_metrics: Whether the machine's processor and memory use are reported.
    """

    def __init__(
        self,
        models: Callable[[], Iterable[ModelSeries]],
        *,
        counter_latencies: bool = True,
        cpu_metrics: bool = True,
    ) -> None:
        self._models = models
        self._host = HostReader() if cpu_metrics else None
        self._instruments = tuple(
            instrument
            for instrument in MODEL_INSTRUMENTS
            if counter_latencies or not instrument.latency
        )
        self._exporter = _Exporter(self._instruments)
        self._reported: set[tuple[str, ...]] = set()

    def render(self) -> bytes:
        """Read everything now and return the text a scrape answers with."""
        page = Exposition()
        for _ in self.read_into(page):
            pass
        return page.encode()

    def read_into(self, page: Exposition) -> Iterator[None]:
        """
        Read everything into ``page``, a step of a few milliseconds at a time.

        The event loop may turn between two steps, and several scrapes may be under way.
        """
        series = [(entry.labels(), entry.statistics) for entry in self._models()]
        self._forget_dead([labels for labels, _ in series])
        readings = HostReadings() if self._host is None else self._host.read()
        for start in range(0, max(len(series), 1), _VERSIONS_PER_STEP):
            self._exporter.read_into(page, series[start : start + _VERSIONS_PER_STEP], readings)
            readings = HostReadings()
            yield

    def close(self) -> None:
        """Give the instruments back; nothing can be rendered afterwards."""
        self._exporter.close()

    def _forget_dead(self, live: list[Labels]) -> None:
        self._reported.update(tuple(labels.values()) for labels in live)
        if len(self._reported) - len(live) > _FORGOTTEN_VERSIONS:
            self._exporter.close()
            self._exporter = _Exporter(self._instruments)
            self._reported.clear()


class _Exporter:
    """The OpenTelemetry side: one observable instrument per row of the tables."""

    def __init__(self, instruments: Iterable[ModelInstrument]) -> None:
        from opentelemetry.metrics import Observation

        self._observation = Observation
        self._series: list[tuple[Labels, ModelStatistics]] = []
        self._readings = HostReadings()
        self._registry, self._provider = _connect()
        meter = self._provider.get_meter("inferd")
        for instrument in instruments:
            _register(meter, instrument, self._observe_models(instrument))
        for host_instrument in HOST_INSTRUMENTS:
            _register(meter, host_instrument, self._observe_host(host_instrument))

    def read_into(
        self,
        page: Exposition,
        series: list[tuple[Labels, ModelStatistics]],
        readings: HostReadings,
    ) -> None:
        """Read these versions and these host readings into the page."""
        self._series, self._readings = series, readings
        page.add(self._registry.collect())

    def close(self) -> None:
        """Detach the instruments."""
        self._provider.shutdown()

    def _observe_models(self, instrument: ModelInstrument) -> "CallbackT":
        read, label, observation = instrument.read, instrument.label, self._observation

        def observe(_: "CallbackOptions") -> Iterable["Observation"]:
            for labels, statistics in self._series:
                value = read(statistics)
                if isinstance(value, Mapping):
                    for key, number in value.items():
                        yield observation(number, {**labels, label: key})
                elif value is not None:
                    yield observation(value, labels)

        return observe

    def _observe_host(self, instrument: HostInstrument) -> "CallbackT":
        def observe(_: "CallbackOptions") -> Iterable["Observation"]:
            value = instrument.read(self._readings)
            return [] if value is None else [self._observation(value)]

        return observe


def _connect() -> tuple["CollectorRegistry", "MeterProvider"]:
    """Return a registry of our own and the provider whose instruments it collects."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import (
        AlwaysOffExemplarFilter,
        MeterProvider,
        ObservableCounter,
        ObservableGauge,
    )
    from opentelemetry.sdk.resources import Resource
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    reader = PrometheusMetricReader(
        disable_target_info=True,
        scope_info_enabled=False,
        registry=registry,
        cardinality_limits={ObservableCounter: _SERIES_LIMIT, ObservableGauge: _SERIES_LIMIT},
    )
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource.get_empty(),
        exemplar_filter=AlwaysOffExemplarFilter(),
        shutdown_on_exit=False,
    )
    return registry, provider


def _register(
    meter: "Meter", instrument: ModelInstrument | HostInstrument, callback: "CallbackT"
) -> None:
    create = (
        meter.create_observable_counter
        if instrument.kind == "counter"
        else meter.create_observable_gauge
    )
    create(instrument.name, callbacks=[callback], description=instrument.description)
