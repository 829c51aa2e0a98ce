"""The table of the server's options: every one ``tritonserver`` has, and inferd's own."""

from collections.abc import Mapping
from typing import Final, get_args

from inferd.cli import values
from inferd.cli.flag import Flag, deprecated, ignored, refused, used
from inferd.cli.own_flags import OWN
from inferd.cli.values import boolean, integer, last, level, number
from inferd.config import (
    CompressionLevel,
    ControlMode,
    RateLimit,
)
from inferd.telemetry.logs import Format

_OFF: Final = ("false", "0", "off")

_DEPRECATED: Final = (
    deprecated(
        used(
            "strict-model-config", "auto_complete_config", values.no_if_true,
            "The same as --disable-auto-complete-config.", default="false",
        ),
        "disable-auto-complete-config",
    ),
    deprecated(
        used(
            "response-cache-byte-size", "response_cache_byte_size", last(integer),
            "The same as --cache-config=local,size=<bytes>; 0 is no cache.",
        ),
        "cache-config",
    ),
    deprecated(ignored("trace-file", "", str, "File for traces."), "trace-config"),
    deprecated(refused("trace-level", ("OFF",), "What to trace."), "trace-config"),
    deprecated(ignored("trace-rate", "1000", integer, "Requests per trace."), "trace-config"),
    deprecated(ignored("trace-count", "-1", integer, "Traces in all."), "trace-config"),
    deprecated(ignored("trace-log-frequency", "0", integer, "Traces per file."), "trace-config"),
)  # fmt: skip


def _tls(service: str) -> tuple[Flag, ...]:
    """Return the options of a service's TLS; Triton has them for gRPC only."""
    return (
        used(f"{service}-use-ssl", f"{service}_use_ssl", last(boolean), "Encrypt with TLS."),
        used(
            f"{service}-use-ssl-mutual", f"{service}_use_ssl_mutual", last(boolean),
            "Encrypt with TLS and require a client certificate, too.",
        ),
        used(
            f"{service}-server-cert", f"{service}_server_cert", last(str),
            "PEM file of the server's certificate and those that lead to a root.",
        ),
        used(
            f"{service}-server-key", f"{service}_server_key", last(str),
            "PEM file of the server's private key, without a password.",
        ),
        used(
            f"{service}-root-cert", f"{service}_root_cert", last(str),
            "PEM file of the root certificates that clients' must lead to.",
        ),
    )  # fmt: skip


GROUPS: Final[Mapping[str, tuple[Flag, ...]]] = {
    "Server": (
        used("id", "id", last(str), "Name of the server in its metadata."),
        used(
            "exit-timeout-secs", "exit_timeout_secs", last(integer),
            "Seconds that requests in flight have to finish when the server is told to exit.",
        ),
    ),
    "Logging": (
        used(
            "log-verbose", "log.verbose_level", last(level),
            "Write verbose records up to this level; 0 writes none.",
        ),
        used("log-info", "log.info", last(boolean), "Write informational records."),
        used("log-warning", "log.warning", last(boolean), "Write warnings."),
        used("log-error", "log.error", last(boolean), "Write errors."),
        used(
            "log-format", "log.format", last(values.choice(*get_args(Format))),
            "Time format of the records: default (I0520 20:03:25.829575) or ISO8601.",
        ),
        used(
            "log-file", "log.file", last(str),
            "Append the records to this file instead of writing them to the console.",
        ),
    ),
    "Model Repository": (
        used(
            "model-repository", "model_repositories", values.every,
            "Folder or URI of a model repository; may be repeated.",
        ),
        used(
            "exit-on-error", "exit_on_error", last(boolean),
            "End the start-up when a model fails to load.",
        ),
        Flag(
            "disable-auto-complete-config",
            "Take model configs as they are instead of completing them from the model files.",
            values.no_if_true, field="auto_complete_config", bare=True,
        ),
        used(
            "strict-readiness", "strict_readiness", last(boolean),
            "Be ready only when every model is.",
        ),
        used(
            "model-control-mode", "model_control_mode", last(values.choice(*get_args(ControlMode))),
            "What loads models after the start-up: none, poll (changes in the repository) or "
            "explicit (the model control calls, and only they).",
        ),
        used(
            "repository-poll-secs", "repository_poll_secs", last(integer),
            "Seconds between two looks at the repositories in poll mode.",
        ),
        used(
            "load-model", "load_models", values.every,
            "Model to load at the start in explicit mode; may be repeated; '*' loads all.",
        ),
        used(
            "model-config-name", "model_config_name",
            last(values.non_empty("--model-config-name")),
            "Use <model>/configs/<name>.pbtxt as the config of models that have one.",
        ),
        used(
            "model-load-thread-count", "model_load_thread_count", last(integer),
            "Models loaded at the same time.",
        ),
        used(
            "model-load-retry-count", "model_load_retry_count", last(integer),
            "Further attempts at a model that fails to load.",
        ),
        refused(
            "model-namespacing", _OFF,
            "Let models of different repositories have the same name.",
        ),
        ignored("enable-peer-access", "true", boolean, "Let GPUs read each other's memory."),
    ),
    "HTTP": (
        used("allow-http", "allow_http", last(boolean), "Serve HTTP."),
        used(
            "http-address", "http_address", last(str),
            "Address HTTP listens on. The default is every address, as tritonserver's is; "
            "127.0.0.1 keeps a server on a workstation private; unix:///PATH is a Unix domain "
            "socket, for every service.",
        ),
        used("http-port", "http_port", last(integer), "Port HTTP listens on; 0 picks a free one."),
        used(
            "reuse-http-port", "reuse_http_port", last(boolean),
            "Share the port with other processes.",
        ),
        used(
            "http-max-input-size", "http_max_input_size", last(integer),
            "Largest request body in bytes.",
        ),
        *_tls("http"),
        refused(
            "http-header-forward-pattern", ("",),
            "Hand request headers that match to the model as parameters.",
        ),
        ignored("http-thread-count", "8", integer, "Threads that handle HTTP."),
        refused(
            "http-restricted-api", (),
            "Require a header for some calls: <apis>:<key>=<value>.",
        ),
    ),
    "GRPC": (
        used("allow-grpc", "allow_grpc", last(boolean), "Serve gRPC."),
        used("grpc-address", "grpc_address", last(str), "Address gRPC listens on."),
        used("grpc-port", "grpc_port", last(integer), "Port gRPC listens on; 0 picks a free one."),
        used(
            "reuse-grpc-port", "reuse_grpc_port", last(boolean),
            "Share the port with other processes.",
        ),
        refused(
            "grpc-header-forward-pattern", ("",),
            "Hand request metadata that matches to the model as parameters.",
        ),
        ignored("grpc-infer-thread-count", "2", integer, "Threads that handle gRPC."),
        ignored(
            "grpc-infer-allocation-pool-size", "8", integer, "Request objects kept for reuse."
        ),
        ignored(
            "grpc-max-response-pool-size", "2147483647", integer, "Stream responses kept for reuse."
        ),
        *_tls("grpc"),
        used(
            "grpc-infer-response-compression-level", "grpc_infer_response_compression_level",
            last(values.word(*get_args(CompressionLevel))),
            "How hard to compress the answers to inferences of clients that accept it: none, "
            "low, medium or high.",
        ),
        used(
            "grpc-keepalive-time", "grpc_keepalive_time", last(integer),
            "Milliseconds of silence before the server pings a client.",
        ),
        used(
            "grpc-keepalive-timeout", "grpc_keepalive_timeout", last(integer),
            "Milliseconds a client has to answer the ping before its connection is closed.",
        ),
        used(
            "grpc-keepalive-permit-without-calls", "grpc_keepalive_permit_without_calls",
            last(boolean), "Ping clients that have no call open, and let them ping.",
        ),
        used(
            "grpc-http2-max-pings-without-data", "grpc_http2_max_pings_without_data",
            last(integer),
            "Pings to a client without anything else being sent in between; 0 is any number. "
            "tritonserver's default is 2, which gRPC heeds in clients only.",
        ),
        used(
            "grpc-http2-min-recv-ping-interval-without-data",
            "grpc_http2_min_recv_ping_interval_without_data", last(integer),
            "Milliseconds a client must leave between two pings while it is sent nothing.",
        ),
        used(
            "grpc-http2-max-ping-strikes", "grpc_http2_max_ping_strikes", last(integer),
            "Pings that come too early before a client is turned away; 0 is any number.",
        ),
        used(
            "grpc-max-connection-age", "grpc_max_connection_age", last(integer),
            "Milliseconds, give or take a tenth, until a connection is retired: its client opens "
            "its next calls on another one; 0 is never.",
        ),
        used(
            "grpc-max-connection-age-grace", "grpc_max_connection_age_grace", last(integer),
            "Milliseconds its calls then have to finish; 0 is for ever.",
        ),
        refused(
            "grpc-restricted-protocol", (),
            "Require a metadata entry for some calls: <protocols>:<key>=<value>.",
        ),
    ),
    "Sagemaker": (
        refused("allow-sagemaker", _OFF, "Serve Amazon SageMaker's calls."),
        ignored("sagemaker-port", "8080", integer, "Port for them."),
        ignored("sagemaker-safe-port-range", "", str, "Ports that are allowed."),
        ignored("sagemaker-thread-count", "8", integer, "Threads that handle them."),
    ),
    "Vertex": (
        refused("allow-vertex-ai", _OFF, "Serve Google Vertex AI's calls."),
        ignored("vertex-ai-port", "8080", integer, "Port for them."),
        ignored("vertex-ai-thread-count", "8", integer, "Threads that handle them."),
        ignored("vertex-ai-default-model", "", str, "Model for calls that name none."),
    ),
    "Metrics": (
        used("allow-metrics", "allow_metrics", last(boolean), "Serve Prometheus metrics."),
        ignored("allow-gpu-metrics", "true", boolean, "Report the GPUs' use."),
        used(
            "allow-cpu-metrics", "allow_cpu_metrics", last(boolean),
            "Report the machine's processor and memory use.",
        ),
        used(
            "metrics-address", "metrics_address", last(str),
            "Address metrics listen on.", default="the HTTP address unless that is a socket",
        ),
        used(
            "metrics-port", "metrics_port", last(integer),
            "Port metrics listen on; 0 picks a free one.",
        ),
        ignored(
            "metrics-interval-ms", "2000", number,
            "Milliseconds between two readings of the machine; inferd reads at every scrape.",
        ),
        used(
            "metrics-config", "counter_latencies", values.metrics_settings,
            "Setting of the metrics, <setting>=<value>; may be repeated. counter_latencies "
            "switches the cumulative durations; summaries and histograms are not supported yet.",
            default="counter_latencies=true",
        ),
    ),
    "Tracing": (
        Flag(
            "trace-config",
            "Setting of the tracing; may be repeated. Tracing is not supported yet, so only "
            "level=OFF is.",
            values.trace_settings,
        ),
    ),
    "Backend": (
        ignored(
            "backend-directory", "/opt/tritonserver/backends", str,
            "Folder of Triton's backends; inferd's are Python packages.",
        ),
        used(
            "backend-config", "backend_config", values.backend_settings,
            "Setting of a backend, <backend>,<setting>=<value>, or of all, <setting>=<value>; "
            "may be repeated.",
        ),
    ),
    "Repository Agent": (
        ignored(
            "repoagent-directory", "/opt/tritonserver/repoagents", str,
            "Folder of Triton's repository agents.",
        ),
    ),
    "Response Cache": (
        used(
            "cache-config", "response_cache_byte_size", values.cache_settings,
            "Setting of the response cache, <cache>,<setting>=<value>. The cache is 'local', its "
            "setting 'size': bytes that the responses of all models with response_cache share.",
            default="no cache",
        ),
        ignored(
            "cache-directory", "/opt/tritonserver/caches", str,
            "Folder of Triton's response caches.",
        ),
    ),
    "Rate Limiter": (
        used(
            "rate-limit", "rate_limit", last(values.word(*get_args(RateLimit))),
            "Limit executions by the resources of instance groups: off or execution_count.",
        ),
        used(
            "rate-limit-resource", "rate_limit_resources", values.rate_limit_resources,
            "How much of a resource each device, or one, has: <name>:<count>[:<device>]; may be "
            "repeated.", default="the greatest need",
        ),
    ),
    "Memory/Device Management": (
        used(
            "pinned-memory-pool-byte-size", "pinned_memory_pool_byte_size", last(integer),
            "Bytes of Triton's pinned memory pool; only shown in the table of options.",
        ),
        used(
            "cuda-memory-pool-byte-size", "cuda_memory_pool_byte_size", values.pools,
            "Bytes of Triton's memory pool on a GPU, <gpu>:<bytes>; only shown, as above.",
        ),
        ignored("cuda-virtual-address-size", "", str, "Bytes reserved on a GPU: <gpu>:<bytes>."),
        used(
            "min-supported-compute-capability", "min_supported_compute_capability",
            last(number), "Oldest GPUs allowed; only shown, as above.",
        ),
        ignored("buffer-manager-thread-count", "0", integer, "Threads that copy tensors."),
        ignored("host-policy", "", str, "Memory and cores of an instance group."),
        ignored(
            "model-load-gpu-limit", "", str,
            "Share of a GPU's memory beyond which no model is loaded: <gpu>:<share>.",
        ),
    ),
    "Shared Memory": (
        refused("allow-client-shm", _OFF, "Let clients hand tensors over in shared memory."),
    ),
    "inferd": OWN,
    "DEPRECATED": _DEPRECATED,
}  # fmt: skip
"""Heading of the help -> its options, in Triton's order."""

FLAGS: Final = tuple(flag for flags in GROUPS.values() for flag in flags)
"""Every option, in the order of the help."""
