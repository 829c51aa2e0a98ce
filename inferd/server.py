"""
The composition root: builds the object graph from the configuration, starts it, drains it.

The only module that knows every layer; everything else is handed what it needs.
"""

import asyncio
import errno
import logging
import os
import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import inferd_kernels

from inferd import __version__
from inferd.backends.loader import BackendLoader
from inferd.config import CpuKernels, ServerConfig
from inferd.cpus import usable_cpus
from inferd.dataplane import DataPlane, Identity
from inferd.errors import ConfigError, InferdError
from inferd.frontends.grpc.keepalive import KeepaliveSettings
from inferd.frontends.http.limits import Limits
from inferd.listening.address import label
from inferd.listening.byte_ledger import ByteLedger
from inferd.listening.spinner import Spinner
from inferd.listening.tls import TlsFiles, reload_files, server_context
from inferd.memory import usable_memory
from inferd.models.devices import gpu_count
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.poller import Poller
from inferd.models.registry import ModelRegistry
from inferd.repository.catalog import Catalog
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.kept_response import KeptResponse
from inferd.scheduling.limited_instances import SharedResources
from inferd.scheduling.rate_limiter import Limit
from inferd.telemetry.instruments import ModelSeries

if TYPE_CHECKING:
    from inferd.frontends.grpc.server import GrpcServer
    from inferd.frontends.http.server import HttpServer
    from inferd.telemetry.http import MetricsServer
    from inferd.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_HTTP_ALPN: Final = ("http/1.1",)
_GRPC_ALPN: Final = ("h2",)


class StartError(Exception):
    """The server cannot start; the message is what the operator sees."""


class Server:
    """
    One inferd server.

    Args:
        config: The operator's choices.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.identity = Identity(config.id, __version__)
        _warn_of_files_without_use(config)
        # Before anything else: a file that is missing is not worth loading models for.
        self._http_tls = _tls(config.http_tls if config.allow_http else None, _HTTP_ALPN)
        self._grpc_tls = _tls(config.grpc_tls if config.allow_grpc else None, _GRPC_ALPN)
        self.catalog = Catalog(_folders(config.model_repositories))
        self.backends = BackendLoader(config.backend_config)
        self._executor = ThreadPoolExecutor(
            config.model_load_thread_count, thread_name_prefix="loader"
        )
        loader = ModelLoader(
            self.backends,
            LoaderSettings(
                auto_complete=config.auto_complete_config,
                config_name=config.model_config_name,
                gpu_count=gpu_count(os.environ),
                strict_deadlines=config.strict_deadlines,
            ),
            _cache(config.response_cache_byte_size),
            _resources(config),
        )
        self.registry = ModelRegistry(
            self.catalog, loader, self._executor, retries=config.model_load_retry_count
        )
        self.dataplane = DataPlane(
            self.registry,
            self.catalog,
            self.identity,
            explicit_control=config.model_control_mode == "explicit",
            strict_readiness=config.strict_readiness,
        )
        self.http: HttpServer | None = None
        self.grpc: GrpcServer | None = None
        self.metrics: MetricsServer | None = None
        self._poller: Poller | None = None
        self._instruments: Metrics | None = None

    async def load_models(self) -> dict[str, InferdError]:
        """Load what the control mode asks for; return the errors of models that failed."""
        seen = await asyncio.to_thread(self.catalog.snapshot)
        # aiohttp and grpclib take a quarter of a second to import, and the
        # frameworks load models without the interpreter lock: both happen at once.
        failed, _ = await asyncio.gather(
            self.registry.load_all(self._startup_models(seen)),
            asyncio.to_thread(self._build_services),
        )
        if self.config.model_control_mode == "poll":
            self._poller = Poller(
                self.catalog, self.registry, self.config.repository_poll_secs, seen
            )
        return failed

    def _startup_models(self, present: Iterable[str]) -> list[str]:
        if self.config.model_control_mode != "explicit" or self.config.load_models == ("*",):
            return sorted(present)
        return list(self.config.load_models)

    def _build_services(self) -> None:
        """Import and make the frontends; blocks, and runs beside the loading of the models."""
        from inferd.frontends.grpc.server import GrpcServer
        from inferd.frontends.http.server import HttpServer

        config = self.config
        # With one CPU the client would wait for the server to stop looking for it.
        spinner = Spinner(config.busy_poll_us if usable_cpus() > 1 else 0)
        ledger = ByteLedger(config.max_in_flight_bytes or usable_memory() // 2)
        if config.cpu_kernels != "numpy":
            kernels = _select_kernels(config.cpu_kernels)
            inferd_kernels.warm(kernels)
            self.dataplane.use_kernels(kernels)
        if config.allow_grpc:
            self.grpc = GrpcServer(
                self.dataplane,
                address=config.grpc_address,
                port=config.grpc_port,
                reuse_port=config.reuse_grpc_port,
                tls=self._grpc_tls,
                transport=config.grpc_transport,
                reflection=config.grpc_reflection,
                spinner=spinner,
                compression_level=config.grpc_infer_response_compression_level,
                keepalive=_keepalive(config),
                ledger=ledger,
            )
        if config.allow_http:
            self.http = HttpServer(
                self.dataplane,
                address=config.http_address,
                port=config.http_port,
                max_input_size=config.http_max_input_size,
                limits=_http_limits(config),
                reuse_port=config.reuse_http_port,
                tls=self._http_tls,
                fast_lane=config.http_fast_lane,
                ledger=ledger,
                spinner=spinner,
            )

    def _build_metrics(self) -> None:
        """Import OpenTelemetry and make the metrics; blocks."""
        from inferd.telemetry.http import MetricsServer
        from inferd.telemetry.metrics import Metrics

        config = self.config
        self._instruments = Metrics(
            self._series,
            counter_latencies=config.counter_latencies,
            cpu_metrics=config.allow_cpu_metrics,
        )
        self.metrics = MetricsServer(
            self._instruments, address=config.metrics_address, port=config.metrics_port
        )

    async def listen(self) -> None:
        """
        Open the ports; the models are loaded.

        Raises:
            StartError: An address cannot be listened on; for one in use the text is Triton's.
        """
        config = self.config
        if self.grpc is not None:
            await _start(self.grpc, "GRPC service", "GRPCInferenceService", config.grpc_address)
            logger.info("gRPC transport: %s", self.grpc.transport)
        if self.http is not None:
            await _start(self.http, "HTTP service", "HTTPService", config.http_address)
        if config.allow_metrics:
            # After the others: nobody's request waits for OpenTelemetry to be imported.
            await asyncio.to_thread(self._build_metrics)
        if self.metrics is not None:
            await _start(self.metrics, "Metrics service", "Metrics Service", config.metrics_address)
        if self._poller is not None:
            self._poller.start()

    def reload_certificates(self) -> None:
        """Read the files of TLS again; what cannot be used is logged and not taken."""
        for files, context, protocols in (
            (self.config.http_tls, self._http_tls, _HTTP_ALPN),
            (self.config.grpc_tls, self._grpc_tls, _GRPC_ALPN),
        ):
            if files is None or context is None:
                continue
            try:
                reload_files(context, files, protocols)
            except ConfigError as error:
                logger.error("certificates not reloaded: %s", error)
            else:
                logger.info("reloaded the certificates of %s", files.service)

    def _series(self) -> Iterable[ModelSeries]:
        for loaded in self.registry.serving():
            yield ModelSeries(
                loaded.name, str(loaded.version), loaded.config.metric_tags, loaded.statistics
            )

    async def stop(self, timeout_s: float) -> bool:
        """
        Stop: not ready at once, accepted requests are answered, models are freed.

        Args:
            timeout_s: How long all of it may take, in seconds.

        Returns:
            Whether everything ended in time.
        """
        deadline = time.monotonic() + timeout_s
        self.dataplane.stop_accepting()
        if self._poller is not None:
            await self._poller.stop()
        frontends = [one for one in (self.http, self.grpc) if one is not None]
        await asyncio.gather(*(frontend.stop(timeout_s) for frontend in frontends))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self.registry.close()
                # Waits for loads that were given up; a backend may never return from one.
                await asyncio.to_thread(self._executor.shutdown)
        except TimeoutError:
            return False
        if self.metrics is not None:
            await self.metrics.stop()
        if self._instruments is not None:
            self._instruments.close()
        return True


def _http_limits(config: ServerConfig) -> Limits:
    return Limits(
        head_bytes=config.http_max_head_size,
        chunk_line_bytes=config.http_max_chunk_line_size,
        head_seconds=config.http_head_timeout_secs,
        body_seconds=config.http_body_timeout_secs,
        idle_seconds=config.http_idle_timeout_secs,
    )


async def _start(
    service: "HttpServer | GrpcServer | MetricsServer", failing: str, name: str, address: str
) -> None:
    wanted = service.port
    try:
        await service.start()
    except OSError as error:
        reason = f"Socket '{label(address, wanted)}' already in use"
        if error.errno != errno.EADDRINUSE:
            reason = error.strerror or str(error)
        raise StartError(f"failed to start {failing}: Unavailable - {reason}") from error
    logger.info("Started %s at %s", name, label(address, service.port))


def _tls(files: TlsFiles | None, protocols: Sequence[str]) -> ssl.SSLContext | None:
    return server_context(files, protocols) if files is not None else None


def _warn_of_files_without_use(config: ServerConfig) -> None:
    """Say which files of TLS are not looked at: somebody meant connections to be safer."""
    for service, files, certificate, roots in (
        ("http", config.http_tls, config.http_server_cert, config.http_root_cert),
        ("grpc", config.grpc_tls, config.grpc_server_cert, config.grpc_root_cert),
    ):
        if files is None and (certificate or roots):
            name = "server-cert" if certificate else "root-cert"
            logger.warning("--%s-%s has no effect without --%s-use-ssl", service, name, service)
        elif files is not None and roots and not files.roots:
            logger.warning(
                "--%s-root-cert has no effect without --%s-use-ssl-mutual: clients need no "
                "certificate", service, service,
            )  # fmt: skip


def _keepalive(config: ServerConfig) -> KeepaliveSettings:
    return KeepaliveSettings(
        time_ms=config.grpc_keepalive_time,
        timeout_ms=config.grpc_keepalive_timeout,
        permit_without_calls=config.grpc_keepalive_permit_without_calls,
        max_pings_without_data=config.grpc_http2_max_pings_without_data,
        min_recv_ping_interval_ms=config.grpc_http2_min_recv_ping_interval_without_data,
        max_ping_strikes=config.grpc_http2_max_ping_strikes,
        max_age_ms=config.grpc_max_connection_age,
        max_age_grace_ms=config.grpc_max_connection_age_grace,
    )


def _cache(size: int) -> ResponseCache[KeptResponse] | None:
    return ResponseCache(size) if size else None


def _resources(config: ServerConfig) -> SharedResources | None:
    if config.rate_limit == "off":
        return None
    return SharedResources(Limit(*resource) for resource in config.rate_limit_resources)


def _select_kernels(name: CpuKernels) -> inferd_kernels.KernelSet:
    try:
        return inferd_kernels.select(name)
    except ImportError as error:
        raise ConfigError(f"--cpu-kernels: {error}") from error


def _folders(repositories: Iterable[str]) -> list[Path]:
    folders: list[Path] = []
    for repository in repositories:
        if "://" in repository:
            raise ConfigError(
                f"--model-repository: {repository}: only local folders are supported yet"
            )
        path = Path(repository)
        if not path.is_dir():
            raise ConfigError(f"--model-repository: {repository} is not a folder")
        folders.append(path)
    return folders
