"""Tests of the server's configuration."""

import dataclasses
import json

import pytest

from inferd.config import ServerConfig
from inferd.errors import ConfigError


def config(**changes):
    """Return a configuration with one repository."""
    return ServerConfig(**{"model_repositories": ("/models",), **changes})


def refusal(**changes):
    """Return why the configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    return str(caught.value)


def test_defaults_are_tritons():
    """A server with nothing but a repository is set up as tritonserver would be."""
    made = config()
    assert (made.http_port, made.grpc_port, made.metrics_port) == (8000, 8001, 8002)
    assert made.http_address == made.grpc_address == made.metrics_address == "0.0.0.0"
    assert (made.id, made.exit_timeout_secs, made.model_control_mode) == ("triton", 30, "none")
    assert made.exit_on_error
    assert made.strict_readiness
    assert made.auto_complete_config
    assert made.http_max_input_size == 67108864


def test_it_cannot_be_changed():
    """What was validated stays as it is."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().http_port = 1


def test_it_prints_as_json():
    """The whole configuration can be shown as JSON."""
    shown = json.loads(json.dumps(config(backend_config={"": {"a": "b"}}).to_dict()))
    assert shown["model_repositories"] == ["/models"]
    assert shown["backend_config"] == {"": {"a": "b"}}
    assert shown["log"]["format"] == "default"


def test_a_repository_is_needed():
    """Without a repository there is nothing to serve."""
    assert refusal(model_repositories=()) == "--model-repository must be specified"
    assert refusal(model_repositories=("a", "")) == "--model-repository must not be empty"


def test_models_to_load_need_explicit_mode():
    """Naming start-up models is for explicit mode only, in Triton's words."""
    assert refusal(load_models=("m",)) == (
        "Use of '--load-model' requires setting '--model-control-mode=explicit' as well."
    )
    assert config(load_models=("m", "n"), model_control_mode="explicit").load_models == ("m", "n")


def test_wildcard_stands_alone():
    """All models, or the named ones, but not both."""
    assert config(load_models=("*",), model_control_mode="explicit").load_models == ("*",)
    assert config(load_models=("*", "*"), model_control_mode="explicit")
    assert refusal(load_models=("m", "*"), model_control_mode="explicit") == (
        "--load-model: Wildcard model name '*' must be the ONLY startup model if specified at all."
    )


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("model_control_mode", "--model-control-mode"),
        ("event_loop", "--event-loop"),
        ("cpu_kernels", "--cpu-kernels"),
        ("rate_limit", "--rate-limit"),
        ("grpc_transport", "--grpc-transport"),
    ],
)
def test_choices(field, flag):
    """A word that is no choice is refused with those that are."""
    assert refusal(**{field: "x"}).startswith(f"{flag} must be one of ")


@pytest.mark.parametrize(
    ("field", "flag", "least"),
    [
        ("exit_timeout_secs", "--exit-timeout-secs", 0),
        ("repository_poll_secs", "--repository-poll-secs", 1),
        ("model_load_thread_count", "--model-load-thread-count", 1),
        ("model_load_retry_count", "--model-load-retry-count", 0),
        ("http_max_input_size", "--http-max-input-size", 1),
        ("http_max_head_size", "--http-max-head-size", 1),
        ("http_max_chunk_line_size", "--http-max-chunk-line-size", 1),
        ("http_head_timeout_secs", "--http-head-timeout-secs", 0),
        ("http_body_timeout_secs", "--http-body-timeout-secs", 0),
        ("http_idle_timeout_secs", "--http-idle-timeout-secs", 0),
        ("response_cache_byte_size", "--response-cache-byte-size", 0),
        ("pinned_memory_pool_byte_size", "--pinned-memory-pool-byte-size", 0),
        ("max_in_flight_bytes", "--max-in-flight-bytes", 0),
        ("grpc_keepalive_time", "--grpc-keepalive-time", 1),
        ("grpc_keepalive_timeout", "--grpc-keepalive-timeout", 1),
        ("grpc_http2_max_pings_without_data", "--grpc-http2-max-pings-without-data", 0),
        (
            "grpc_http2_min_recv_ping_interval_without_data",
            "--grpc-http2-min-recv-ping-interval-without-data",
            0,
        ),
        ("grpc_http2_max_ping_strikes", "--grpc-http2-max-ping-strikes", 0),
        ("grpc_max_connection_age", "--grpc-max-connection-age", 0),
        ("grpc_max_connection_age_grace", "--grpc-max-connection-age-grace", 0),
    ],
)
def test_smallest_values(field, flag, least):
    """The smallest value that makes sense is taken, one less is refused."""
    assert getattr(config(**{field: least}), field) == least
    bound = "greater than 0." if least else "0 or greater."
    assert refusal(**{field: least - 1}) == f"{flag} must be {bound}"


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("http_port", "--http-port"),
        ("grpc_port", "--grpc-port"),
        ("metrics_port", "--metrics-port"),
    ],
)
def test_ports(field, flag):
    """A port is a number TCP has."""
    assert config(**{field: 65535})
    assert config(**{field: 0})
    assert refusal(**{field: 65536}) == f"{flag} must be between 0 and 65535, got 65536"
    assert refusal(**{field: -1}) == f"{flag} must be between 0 and 65535, got -1"


@pytest.mark.parametrize(
    ("changes", "services"),
    [
        ({"grpc_port": 8000}, ("HTTP", "GRPC", 8000)),
        ({"metrics_port": 8000}, ("HTTP", "metrics", 8000)),
        ({"metrics_port": 8001}, ("GRPC", "metrics", 8001)),
    ],
)
def test_two_services_at_one_port(changes, services):
    """Two services cannot share an address and port, in Triton's words."""
    one, other, port = services
    assert refusal(**changes) == (
        f"The server cannot listen to {one} requests and {other} requests "
        f"at the same address and port 0.0.0.0:{port}"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"grpc_port": 8000, "grpc_address": "127.0.0.1"},
        {"grpc_port": 8000, "allow_grpc": False},
        {"grpc_port": 8000, "allow_http": False},
        {"metrics_port": 8000, "allow_metrics": False},
        {"http_port": 0, "grpc_port": 0, "metrics_port": 0},
    ],
)
def test_ports_that_do_not_clash(changes):
    """Another address, a service that is off and a free port clash with nothing."""
    assert config(**changes)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (("", 1, None), "must have a name"),
        (("R", -1, None), "R: the count must be 0 or greater, got -1"),
        (("R", 1, -1), "R: the device must be 0 or greater, got -1"),
    ],
)
def test_resources_that_cannot_be(resource, reason):
    """The option is named; none of a resource and the first device are fine."""
    assert config(rate_limit_resources=(("R", 0, 0),))
    refused = refusal(rate_limit_resources=(("R", 0, 0), resource))
    assert refused == f"--rate-limit-resource {reason}"


@pytest.mark.parametrize("service", ["http", "grpc"])
def test_what_tls_requires(service):
    """A certificate and a key; mutual TLS, which is TLS, needs roots, too."""
    files = {f"{service}_server_cert": "c", f"{service}_server_key": "k"}
    on = {f"{service}_use_ssl": True}
    mutual = {f"{service}_use_ssl_mutual": True}
    flag = f"--{service}-use-ssl"
    assert refusal(**on) == f"{flag} requires --{service}-server-cert"
    assert refusal(**on, **{f"{service}_server_cert": "c"}) == (
        f"{flag} requires --{service}-server-key"
    )
    assert refusal(**mutual, **files) == f"{flag}-mutual requires --{service}-root-cert"

    assert getattr(config(**files), f"{service}_tls") is None
    roots = {f"{service}_root_cert": "r"}
    made = getattr(config(**on, **files, **roots), f"{service}_tls")
    assert (made.service, made.certificate, made.key, made.roots) == (service, "c", "k", "")
    assert getattr(config(**mutual, **files, **roots), f"{service}_tls").roots == "r"


def test_unix_sockets():
    """Each service has a socket of its own, whatever the ports are."""
    made = config(http_address="unix:///h", grpc_address="unix:///g", http_port=1, grpc_port=1)
    assert made.http_address == "unix:///h"
    assert refusal(http_address="unix:///s", grpc_address="unix:/s", grpc_port=0) == (
        "The server cannot listen to HTTP requests and GRPC requests "
        "at the same address and port unix:/s"
    )
    assert config(http_address="unix:///s", grpc_address="unix:///s", allow_grpc=False)


@pytest.mark.parametrize("service", ["http", "grpc", "metrics"])
def test_unix_sockets_that_cannot_be(service):
    """A path the system would not take is refused before anything is loaded."""
    field = f"{service}_address"
    assert refusal(**{field: "unix:///" + "x" * 107}).startswith(f"--{service}-address: unix:///x")
    assert refusal(**{field: "unix://host/x"}).startswith(f"--{service}-address: unix://host/x")


@pytest.mark.parametrize("service", ["http", "grpc"])
def test_a_unix_socket_is_not_shared(service):
    """SO_REUSEPORT is for ports."""
    assert refusal(**{f"{service}_address": "unix:///x", f"reuse_{service}_port": True}) == (
        f"--reuse-{service}-port does not go with the address unix:///x"
    )
