"""Tests of the table of options."""

from dataclasses import fields

import pytest

from inferd.cli.flags import FLAGS, GROUPS
from inferd.config import ServerConfig
from inferd.telemetry.logs import LogSettings

TRITON = """
id exit-timeout-secs log-verbose log-info log-warning log-error log-format log-file
model-repository exit-on-error disable-auto-complete-config strict-readiness model-control-mode
repository-poll-secs load-model model-config-name model-load-thread-count model-load-retry-count
model-namespacing enable-peer-access allow-http http-address http-port reuse-http-port
http-header-forward-pattern http-thread-count http-max-input-size http-restricted-api allow-grpc
grpc-address grpc-port reuse-grpc-port grpc-header-forward-pattern grpc-infer-thread-count
grpc-infer-allocation-pool-size grpc-max-response-pool-size grpc-use-ssl grpc-use-ssl-mutual
grpc-server-cert grpc-server-key grpc-root-cert grpc-infer-response-compression-level
grpc-keepalive-time grpc-keepalive-timeout grpc-keepalive-permit-without-calls
grpc-http2-max-pings-without-data grpc-http2-min-recv-ping-interval-without-data
grpc-http2-max-ping-strikes grpc-max-connection-age grpc-max-connection-age-grace
grpc-restricted-protocol allow-sagemaker sagemaker-port sagemaker-safe-port-range
sagemaker-thread-count allow-vertex-ai vertex-ai-port vertex-ai-thread-count
vertex-ai-default-model allow-metrics allow-gpu-metrics allow-cpu-metrics metrics-address
metrics-port metrics-interval-ms metrics-config trace-config backend-directory backend-config
repoagent-directory cache-config cache-directory rate-limit rate-limit-resource
pinned-memory-pool-byte-size cuda-memory-pool-byte-size cuda-virtual-address-size
min-supported-compute-capability buffer-manager-thread-count host-policy model-load-gpu-limit
allow-client-shm strict-model-config response-cache-byte-size trace-file trace-level trace-rate
trace-count trace-log-frequency
"""

OURS = [
    "event-loop", "cpu-kernels", "busy-poll-us", "strict-deadlines", "http-use-ssl",
    "http-use-ssl-mutual",
    "http-server-cert", "http-server-key", "http-root-cert", "grpc-transport", "grpc-reflection",
    "http-fast-lane", "max-in-flight-bytes", "http-max-head-size", "http-max-chunk-line-size",
    "http-head-timeout-secs", "http-body-timeout-secs", "http-idle-timeout-secs",
]  # fmt: skip


def test_every_option_of_tritonserver_is_known():
    """No option of a tritonserver command line is unknown here."""
    assert sorted(flag.name for flag in FLAGS) == sorted(TRITON.split() + OURS)


def test_groups_are_in_tritons_order():
    """The help's headings come in Triton's order, with ours before the deprecated ones."""
    assert list(GROUPS) == [
        "Server", "Logging", "Model Repository", "HTTP", "GRPC", "Sagemaker", "Vertex", "Metrics",
        "Tracing", "Backend", "Repository Agent", "Response Cache", "Rate Limiter",
        "Memory/Device Management", "Shared Memory", "inferd", "DEPRECATED",
    ]  # fmt: skip


def test_every_setting_has_an_option():
    """Whatever can be configured can be configured from the command line."""
    known = {field.name for field in fields(ServerConfig)} - {"log"}
    known |= {f"log.{field.name}" for field in fields(LogSettings)} - {"log.escape"}
    assert {flag.field for flag in FLAGS if flag.field is not None} == known


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_an_option_is_one_thing(flag):
    """An option is used, ignored or refused, and says what it is for in a sentence."""
    assert (flag.field is not None) + flag.ignored + flag.refused == 1
    assert flag.help.endswith(".")


def test_variables():
    """An option's environment variable is its name in capitals."""
    assert next(f for f in FLAGS if f.name == "http-port").variable == "INFERD_HTTP_PORT"
