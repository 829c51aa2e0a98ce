"""
What the operator chose: one frozen, validated object that the composition root takes apart.

Nothing below the server sees it. The command line builds it, as
``inferd.cli.options`` says; programs and tests may build it themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from inferd.errors import ConfigError
from inferd.listening.address import label, unix_path
from inferd.listening.tls import TlsFiles
from inferd.telemetry.logs import LogSettings

ControlMode = Literal["none", "poll", "explicit"]
EventLoop = Literal["auto", "uvloop", "asyncio"]
CpuKernels = Literal["numpy", "numba"]
RateLimit = Literal["off", "execution_count"]
GrpcTransport = Literal["auto", "native", "python"]
CompressionLevel = Literal["none", "low", "medium", "high"]

_LARGEST_PORT = 65535
_EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """
    The server's configuration; each field is the ``tritonserver`` option of that name.

    Services listen on all addresses by default because ``tritonserver`` does and its
    deployments rely on it; outside a container, ``127.0.0.1`` is the safer choice.

    Attributes:
        id: The server's name in its metadata.
        exit_timeout_secs: How long in-flight requests may take to finish at exit, in seconds.
        exit_on_error: Whether a model that fails to load ends the start-up.
        strict_readiness: Whether the server is ready only when all its models are.
        event_loop: Which event loop runs the server; ``auto`` is uvloop where installed.
        cpu_kernels: Which kernels work on the CPU; ``numba`` is compiled at start-up.
        busy_poll_us: For how long the event loop looks for input after an answer before it
            sleeps, in microseconds; not where there is one CPU.
        strict_deadlines: Whether a request that waited longer than its queue timeout is
            answered as one whose deadline passed (504, ``DEADLINE_EXCEEDED``).
        model_repositories: Folders or URIs; a model's name is unique among all of them.
        model_control_mode: Who decides what is loaded: nobody after the start-up, the
            repository's content, or the model control calls.
        repository_poll_secs: Seconds between two looks at the repositories (poll mode).
        load_models: Models loaded at start-up (explicit mode); ``("*",)`` is all.
        model_load_thread_count: Models loaded at the same time.
        model_load_retry_count: Further attempts at a model that fails to load.
        model_config_name: Name of the config under ``<model>/configs``; empty is
            ``config.pbtxt``.
        auto_complete_config: Whether configs are completed from the model files.
        backend_config: Backend name -> setting -> value; the name ``""`` is every backend.
        response_cache_byte_size: Bytes of the response cache that all models share; 0 is none.
        rate_limit: Whether executions are limited by the resources that configs name.
        rate_limit_resources: (resource, how much there is of it, GPU or None for each one).
        max_in_flight_bytes: Bytes of requests and queued answers beyond which large requests
            are refused before they are read; 0 is half the memory the process may use.
        allow_http: Whether HTTP is served.
        http_address: Address HTTP listens on; ``unix:///path`` is a Unix domain socket, here
            and below.
        http_port: Port HTTP listens on; 0 picks a free one, here and below.
        reuse_http_port: Whether other processes may share the port.
        http_use_ssl: Whether HTTP is encrypted with TLS.
        http_use_ssl_mutual: Whether it is, and clients need a certificate, too.
        http_server_cert: PEM file of the server's certificate and those that lead to a root.
        http_server_key: PEM file of its private key.
        http_root_cert: PEM file of the roots that clients' certificates lead to.
        http_max_input_size: Largest request body, in bytes, before and after decompression.
        http_max_head_size: Longest head of a request, in bytes, and longest trailers.
        http_max_chunk_line_size: Longest line before a chunk of a body, in bytes.
        http_head_timeout_secs: How long a head may take, in seconds; 0 is for ever, here and
            below.
        http_body_timeout_secs: How long a body, or an answer the client does not read, may
            make no progress, in seconds.
        http_idle_timeout_secs: How long a connection may be without a request, in seconds.
        http_fast_lane: Whether plain inference requests are parsed and answered beside aiohttp.
        allow_grpc: Whether gRPC is served.
        grpc_address: Address gRPC listens on.
        grpc_port: Port gRPC listens on.
        reuse_grpc_port: Whether other processes may share the port.
        grpc_use_ssl: As for HTTP, like the four that follow.
        grpc_use_ssl_mutual: As for HTTP.
        grpc_server_cert: As for HTTP.
        grpc_server_key: As for HTTP.
        grpc_root_cert: As for HTTP.
        grpc_infer_response_compression_level: How hard the answers to inferences are
            compressed, for clients that accept it.
        grpc_keepalive_time: Silence after which a client is pinged, in milliseconds, as are
            the other times of gRPC.
        grpc_keepalive_timeout: How long it then may be silent until it is given up.
        grpc_keepalive_permit_without_calls: Whether clients without calls are pinged, and may
            ping as often as others.
        grpc_http2_max_pings_without_data: Pings in a row without anything else being sent;
            0 is any number, which gRPC's servers send whatever Triton's option says.
        grpc_http2_min_recv_ping_interval_without_data: What a client must leave between two
            pings while it is sent nothing.
        grpc_http2_max_ping_strikes: Pings that may come too early; 0 is any number.
        grpc_max_connection_age: When a connection is retired; 0 is never.
        grpc_max_connection_age_grace: How long its calls then have to end; 0 is for ever.
        grpc_transport: What speaks HTTP/2; ``auto`` is the native one where it is built.
        grpc_reflection: Whether clients may ask what services there are.
        allow_metrics: Whether metrics are served.
        metrics_address: Address the metrics service listens on.
        metrics_port: Port the metrics service listens on.
        allow_cpu_metrics: Whether the machine's processor and memory use are reported.
        counter_latencies: Whether the cumulative durations are reported.
        log: What is logged, how and where.
        pinned_memory_pool_byte_size: Shown at start-up; inferd has no such pool.
        cuda_memory_pool_byte_size: GPU -> bytes; shown at start-up, as above.
        min_supported_compute_capability: Shown at start-up; the backends decide.

    Raises:
        ConfigError: A value is out of range or does not go with another; the message
            names the option.
    """

    id: str = "triton"
    exit_timeout_secs: int = 30
    exit_on_error: bool = True
    strict_readiness: bool = True
    event_loop: EventLoop = "auto"
    cpu_kernels: CpuKernels = "numpy"
    busy_poll_us: int = 50
    strict_deadlines: bool = False

    model_repositories: tuple[str, ...]
    model_control_mode: ControlMode = "none"
    repository_poll_secs: int = 15
    load_models: tuple[str, ...] = ()
    model_load_thread_count: int = 4
    model_load_retry_count: int = 0
    model_config_name: str = ""
    auto_complete_config: bool = True
    backend_config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    response_cache_byte_size: int = 0
    rate_limit: RateLimit = "off"
    rate_limit_resources: tuple[tuple[str, int, int | None], ...] = ()
    max_in_flight_bytes: int = 0

    allow_http: bool = True
    http_address: str = "0.0.0.0"
    http_port: int = 8000
    reuse_http_port: bool = False
    http_use_ssl: bool = False
    http_use_ssl_mutual: bool = False
    http_server_cert: str = ""
    http_server_key: str = ""
    http_root_cert: str = ""
    http_max_input_size: int = 64 * 1024 * 1024
    http_max_head_size: int = 32 * 1024
    http_max_chunk_line_size: int = 4 * 1024
    http_head_timeout_secs: float = 60.0
    http_body_timeout_secs: float = 60.0
    http_idle_timeout_secs: float = 3600.0
    http_fast_lane: bool = True

    allow_grpc: bool = True
    grpc_address: str = "0.0.0.0"
    grpc_port: int = 8001
    reuse_grpc_port: bool = False
    grpc_use_ssl: bool = False
    grpc_use_ssl_mutual: bool = False
    grpc_server_cert: str = ""
    grpc_server_key: str = ""
    grpc_root_cert: str = ""
    grpc_infer_response_compression_level: CompressionLevel = "none"
    grpc_keepalive_time: int = 7_200_000
    grpc_keepalive_timeout: int = 20_000
    grpc_keepalive_permit_without_calls: bool = False
    grpc_http2_max_pings_without_data: int = 0
    grpc_http2_min_recv_ping_interval_without_data: int = 300_000
    grpc_http2_max_ping_strikes: int = 2
    grpc_max_connection_age: int = 0
    grpc_max_connection_age_grace: int = 0
    grpc_transport: GrpcTransport = "auto"
    grpc_reflection: bool = True

    allow_metrics: bool = True
    metrics_address: str = "0.0.0.0"
    metrics_port: int = 8002
    allow_cpu_metrics: bool = True
    counter_latencies: bool = True

    log: LogSettings = field(default_factory=LogSettings)

    pinned_memory_pool_byte_size: int = 256 * 1024 * 1024
    cuda_memory_pool_byte_size: Mapping[int, int] = field(default_factory=dict)
    min_supported_compute_capability: float = 6.0

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name, as plain values that JSON has."""
        return asdict(self)

    @property
    def http_tls(self) -> TlsFiles | None:
        """The files of HTTP's TLS; None where HTTP is plain text."""
        return _tls_files(
            "http",
            self.http_use_ssl,
            self.http_use_ssl_mutual,
            (self.http_server_cert, self.http_server_key, self.http_root_cert),
        )

    @property
    def grpc_tls(self) -> TlsFiles | None:
        """The files of gRPC's TLS; None where gRPC is plain text."""
        return _tls_files(
            "grpc",
            self.grpc_use_ssl,
            self.grpc_use_ssl_mutual,
            (self.grpc_server_cert, self.grpc_server_key, self.grpc_root_cert),
        )


def _tls_files(
    service: str, use_ssl: bool, mutual: bool, files: tuple[str, str, str]
) -> TlsFiles | None:
    """Return what TLS needs; mutual TLS alone switches TLS on, too, as in Triton."""
    if not use_ssl and not mutual:
        return None
    certificate, key, roots = files
    return TlsFiles(service, certificate, key, roots if mutual else "")


def _check_tls(config: ServerConfig) -> None:
    for files, mutual in (
        (config.http_tls, config.http_use_ssl_mutual),
        (config.grpc_tls, config.grpc_use_ssl_mutual),
    ):
        if files is None:
            continue
        for name, file, needed in (
            ("server-cert", files.certificate, True),
            ("server-key", files.key, True),
            ("root-cert", files.roots, mutual),
        ):
            if needed and not file:
                option = f"--{files.service}-use-ssl{'-mutual' if mutual else ''}"
                raise ConfigError(f"{option} requires --{files.service}-{name}")


def _check_addresses(config: ServerConfig) -> None:
    for service, address, reuse_port in (
        ("http", config.http_address, config.reuse_http_port),
        ("grpc", config.grpc_address, config.reuse_grpc_port),
        ("metrics", config.metrics_address, False),
    ):
        try:
            path = unix_path(address)
        except ValueError as error:
            raise ConfigError(f"--{service}-address: {error}") from None
        if path is not None and reuse_port:
            raise ConfigError(f"--reuse-{service}-port does not go with the address {address}")


def _check_repositories(config: ServerConfig) -> None:
    if not config.model_repositories:
        raise ConfigError("--model-repository must be specified")
    if not all(config.model_repositories):
        raise ConfigError("--model-repository must not be empty")


def _check_load_models(config: ServerConfig) -> None:
    if config.load_models and config.model_control_mode != "explicit":
        raise ConfigError(
            "Use of '--load-model' requires setting '--model-control-mode=explicit' as well."
        )
    if _EVERY_MODEL in config.load_models and len(set(config.load_models)) > 1:
        raise ConfigError(
            "--load-model: Wildcard model name '*' must be the ONLY startup model "
            "if specified at all."
        )


def _check_choices(config: ServerConfig) -> None:
    for flag, value, choices in (
        ("--model-control-mode", config.model_control_mode, get_args(ControlMode)),
        ("--event-loop", config.event_loop, get_args(EventLoop)),
        ("--cpu-kernels", config.cpu_kernels, get_args(CpuKernels)),
        ("--rate-limit", config.rate_limit, get_args(RateLimit)),
        ("--grpc-transport", config.grpc_transport, get_args(GrpcTransport)),
        (
            "--grpc-infer-response-compression-level",
            config.grpc_infer_response_compression_level,
            get_args(CompressionLevel),
        ),
    ):
        if value not in choices:
            raise ConfigError(f"{flag} must be one of {', '.join(choices)}, got {value!r}")


def _check_rate_limit_resources(config: ServerConfig) -> None:
    flag = "--rate-limit-resource"
    for name, count, device in config.rate_limit_resources:
        if not name:
            raise ConfigError(f"{flag} must have a name")
        if count < 0:
            raise ConfigError(f"{flag} {name}: the count must be 0 or greater, got {count}")
        if device is not None and device < 0:
            raise ConfigError(f"{flag} {name}: the device must be 0 or greater, got {device}")


def _check_ranges(config: ServerConfig) -> None:
    for flag, value, least in (
        ("--exit-timeout-secs", config.exit_timeout_secs, 0),
        ("--repository-poll-secs", config.repository_poll_secs, 1),
        ("--busy-poll-us", config.busy_poll_us, 0),
        ("--model-load-thread-count", config.model_load_thread_count, 1),
        ("--model-load-retry-count", config.model_load_retry_count, 0),
        ("--http-max-input-size", config.http_max_input_size, 1),
        ("--http-max-head-size", config.http_max_head_size, 1),
        ("--http-max-chunk-line-size", config.http_max_chunk_line_size, 1),
        ("--http-head-timeout-secs", config.http_head_timeout_secs, 0),
        ("--http-body-timeout-secs", config.http_body_timeout_secs, 0),
        ("--http-idle-timeout-secs", config.http_idle_timeout_secs, 0),
        ("--response-cache-byte-size", config.response_cache_byte_size, 0),
        ("--max-in-flight-bytes", config.max_in_flight_bytes, 0),
        ("--grpc-keepalive-time", config.grpc_keepalive_time, 1),
        ("--grpc-keepalive-timeout", config.grpc_keepalive_timeout, 1),
        ("--grpc-http2-max-pings-without-data", config.grpc_http2_max_pings_without_data, 0),
        (
            "--grpc-http2-min-recv-ping-interval-without-data",
            config.grpc_http2_min_recv_ping_interval_without_data,
            0,
        ),
        ("--grpc-http2-max-ping-strikes", config.grpc_http2_max_ping_strikes, 0),
        ("--grpc-max-connection-age", config.grpc_max_connection_age, 0),
        ("--grpc-max-connection-age-grace", config.grpc_max_connection_age_grace, 0),
        ("--pinned-memory-pool-byte-size", config.pinned_memory_pool_byte_size, 0),
    ):
        if not value >= least:  # NaN is not
            bound = "greater than 0." if least else "0 or greater."
            raise ConfigError(f"{flag} must be {bound}")


def _check_ports(config: ServerConfig) -> None:
    taken: dict[tuple[str, int], str] = {}
    for service, flag, allowed, address, port in (
        ("HTTP", "--http-port", config.allow_http, config.http_address, config.http_port),
        ("GRPC", "--grpc-port", config.allow_grpc, config.grpc_address, config.grpc_port),
        (
            "metrics",
            "--metrics-port",
            config.allow_metrics,
            config.metrics_address,
            config.metrics_port,
        ),
    ):
        if not 0 <= port <= _LARGEST_PORT:
            raise ConfigError(f"{flag} must be between 0 and {_LARGEST_PORT}, got {port}")
        path = unix_path(address)
        if not allowed or (not port and path is None):
            continue
        place = (address, port) if path is None else (path, 0)
        other = taken.setdefault(place, service)
        if other != service:
            raise ConfigError(
                f"The server cannot listen to {other} requests and {service} requests "
                f"at the same address and port {label(address, port)}"
            )


_CHECKS: tuple[Callable[[ServerConfig], None], ...] = (
    _check_repositories,
    _check_choices,
    _check_load_models,
    _check_rate_limit_resources,
    _check_ranges,
    _check_addresses,
    _check_ports,
    _check_tls,
)
