"""Tests of the server's command line and environment."""

import pytest

from inferd._generated.inference import ServerMetadataResponse
from inferd.cli.flags import FLAGS
from inferd.cli.options import config_from_args, option_rows
from inferd.config import ServerConfig
from inferd.errors import ConfigError
from inferd.telemetry.logs import LogSettings
from tests.cli.serve_options import BASE, parse, parser


def test_nothing_given_is_the_default():
    """A command line with nothing but a repository is the default configuration."""
    assert parse() == ServerConfig(model_repositories=("/models",))


def test_no_repository():
    """A command line without a repository is refused."""
    with pytest.raises(ConfigError, match=r"^--model-repository must be specified$"):
        config_from_args(parser().parse_args([]), {})


def test_both_spellings():
    """A value follows an equals sign or a blank."""
    assert parse("--http-port=1", "--grpc-port", "2") == parse("--grpc-port=2", "--http-port", "1")


def test_beginnings_of_names():
    """An unambiguous beginning of a name is taken, as getopt does."""
    assert parse("--http-po=1").http_port == 1


def test_repositories_add_up():
    """Repositories are searched in the order given, whichever of the two names is used."""
    assert parse("--model-store=/b", "--model-repository", "/a").model_repositories == (
        "/models",
        "/b",
        "/a",
    )


FIELDS = [
    ("--id=x", {"id": "x"}),
    ("--exit-timeout-secs=0", {"exit_timeout_secs": 0}),
    ("--exit-on-error=false", {"exit_on_error": False}),
    ("--strict-readiness=off", {"strict_readiness": False}),
    ("--event-loop=asyncio", {"event_loop": "asyncio"}),
    ("--cpu-kernels=numba", {"cpu_kernels": "numba"}),
    ("--strict-deadlines=true", {"strict_deadlines": True}),
    ("--grpc-transport=python", {"grpc_transport": "python"}),
    ("--busy-poll-us=20", {"busy_poll_us": 20}),
    ("--grpc-reflection=false", {"grpc_reflection": False}),
    ("--http-fast-lane=false", {"http_fast_lane": False}),
    ("--max-in-flight-bytes=5", {"max_in_flight_bytes": 5}),
    ("--http-max-head-size=100", {"http_max_head_size": 100}),
    ("--http-max-chunk-line-size=10", {"http_max_chunk_line_size": 10}),
    ("--http-head-timeout-secs=1.5", {"http_head_timeout_secs": 1.5}),
    ("--http-body-timeout-secs=0", {"http_body_timeout_secs": 0.0}),
    ("--http-idle-timeout-secs=75", {"http_idle_timeout_secs": 75.0}),
    ("--model-control-mode=poll", {"model_control_mode": "poll"}),
    ("--repository-poll-secs=5", {"repository_poll_secs": 5}),
    ("--model-load-thread-count=1", {"model_load_thread_count": 1}),
    ("--model-load-retry-count=2", {"model_load_retry_count": 2}),
    ("--model-config-name=x", {"model_config_name": "x"}),
    ("--disable-auto-complete-config", {"auto_complete_config": False}),
    ("--strict-model-config=true", {"auto_complete_config": False}),
    ("--strict-model-config=false", {"auto_complete_config": True}),
    ("--cache-config=local,size=5", {"response_cache_byte_size": 5}),
    ("--rate-limit=execution_count", {"rate_limit": "execution_count"}),
    ("--rate-limit-resource=R:2:1", {"rate_limit_resources": (("R", 2, 1),)}),
    ("--response-cache-byte-size=5", {"response_cache_byte_size": 5}),
    ("--backend-config=a,b=c", {"backend_config": {"a": {"b": "c"}}}),
    ("--allow-http=0", {"allow_http": False}),
    ("--http-address=::1", {"http_address": "::1", "metrics_address": "::1"}),
    ("--http-port=9000", {"http_port": 9000}),
    ("--reuse-http-port=1", {"reuse_http_port": True}),
    ("--http-max-input-size=1", {"http_max_input_size": 1}),
    ("--allow-grpc=0", {"allow_grpc": False}),
    ("--grpc-address=::1", {"grpc_address": "::1"}),
    ("--grpc-port=9001", {"grpc_port": 9001}),
    ("--reuse-grpc-port=1", {"reuse_grpc_port": True}),
    (
        "--grpc-infer-response-compression-level=HIGH",
        {"grpc_infer_response_compression_level": "high"},
    ),
    ("--grpc-keepalive-time=1", {"grpc_keepalive_time": 1}),
    ("--grpc-keepalive-timeout=1", {"grpc_keepalive_timeout": 1}),
    ("--grpc-keepalive-permit-without-calls=1", {"grpc_keepalive_permit_without_calls": True}),
    ("--grpc-http2-max-pings-without-data=1", {"grpc_http2_max_pings_without_data": 1}),
    (
        "--grpc-http2-min-recv-ping-interval-without-data=0",
        {"grpc_http2_min_recv_ping_interval_without_data": 0},
    ),
    ("--grpc-http2-max-ping-strikes=0", {"grpc_http2_max_ping_strikes": 0}),
    ("--grpc-max-connection-age=1", {"grpc_max_connection_age": 1}),
    ("--grpc-max-connection-age-grace=1", {"grpc_max_connection_age_grace": 1}),
    ("--allow-metrics=0", {"allow_metrics": False}),
    ("--metrics-address=::1", {"metrics_address": "::1"}),
    ("--metrics-port=9002", {"metrics_port": 9002}),
    ("--allow-cpu-metrics=0", {"allow_cpu_metrics": False}),
    ("--metrics-config=counter_latencies=false", {"counter_latencies": False}),
    ("--log-verbose=true", {"log": LogSettings(verbose_level=1)}),
    ("--log-info=0", {"log": LogSettings(info=False)}),
    ("--log-warning=0", {"log": LogSettings(warning=False)}),
    ("--log-error=0", {"log": LogSettings(error=False)}),
    ("--log-format=ISO8601", {"log": LogSettings(format="ISO8601")}),
    ("--log-file=/x", {"log": LogSettings(file="/x")}),
    ("--pinned-memory-pool-byte-size=1", {"pinned_memory_pool_byte_size": 1}),
    ("--cuda-memory-pool-byte-size=0:1", {"cuda_memory_pool_byte_size": {0: 1}}),
    ("--min-supported-compute-capability=7.5", {"min_supported_compute_capability": 7.5}),
]


@pytest.mark.parametrize(("flag", "changes"), FIELDS, ids=[flag for flag, _ in FIELDS])
def test_each_option_sets_its_field(flag, changes):
    """Each option sets what it is named after and nothing else."""
    assert parse(flag) == ServerConfig(model_repositories=("/models",), **changes)


def test_every_used_option_is_tried():
    """No option that has an effect is left out of the test above."""
    tried = {flag.removeprefix("--").partition("=")[0] for flag, _ in FIELDS}
    elsewhere = {"model-repository", "load-model", *(flag for flag, _ in TLS)}
    assert tried | elsewhere == {f.name for f in FLAGS if f.field}


TLS = [
    (f"{service}-{name}", value)
    for service in ("http", "grpc")
    for name, value in (
        ("use-ssl", True), ("use-ssl-mutual", True), ("server-cert", "c"), ("server-key", "k"),
        ("root-cert", "r"),
    )
]  # fmt: skip


def test_tls():
    """Each option of TLS sets the field of its name."""
    made = parse(*(f"--{flag}={value}" for flag, value in TLS))
    for flag, value in TLS:
        assert getattr(made, flag.replace("-", "_")) == value


def test_metrics_follow_the_host_of_http_alone():
    """A Unix domain socket has room for one service; metrics stay where they are by default."""
    assert parse("--http-address=127.0.0.1").metrics_address == "127.0.0.1"
    assert parse("--http-address=unix:///run/h").metrics_address == "0.0.0.0"


def test_models_to_load():
    """Start-up models add up."""
    flags = ("--model-control-mode=explicit", "--load-model=a", "--load-model=b")
    assert parse(*flags).load_models == ("a", "b")


def test_no_auto_completion_wins():
    """A deprecated option that says nothing does not undo one that says something."""
    flags = ("--disable-auto-complete-config", "--strict-model-config=false")
    assert not parse(*flags).auto_complete_config


def test_metrics_address_of_its_own():
    """Metrics listen where HTTP does unless told otherwise."""
    made = parse("--http-address=127.0.0.1", "--metrics-address=0.0.0.0")
    assert (made.http_address, made.metrics_address) == ("127.0.0.1", "0.0.0.0")


def test_environment():
    """An environment variable stands in for its option."""
    assert parse(INFERD_HTTP_PORT="9000").http_port == 9000
    assert not parse(INFERD_DISABLE_AUTO_COMPLETE_CONFIG="1").auto_complete_config
    assert parse(INFERD_DISABLE_AUTO_COMPLETE_CONFIG="0").auto_complete_config


def test_flag_beats_environment():
    """The option counts where both are given."""
    assert parse("--http-port=1", INFERD_HTTP_PORT="2").http_port == 1
    assert parse(INFERD_MODEL_REPOSITORY="/b").model_repositories == ("/models",)


def test_repeatable_variable():
    """A variable holds several values separated by semicolons."""
    made = parse(INFERD_BACKEND_CONFIG="a,b=c;d=e;")
    assert made.backend_config == {"a": {"b": "c"}, "": {"d": "e"}}


def test_empty_variable_is_unset():
    """A variable without a value changes nothing."""
    assert parse(INFERD_HTTP_PORT="") == parse()


def test_service_variables_of_kubernetes():
    """A Service called inferd-metrics does not break the server's start in its namespace."""
    assert parse(INFERD_METRICS_PORT="tcp://10.0.0.1:8080") == parse()


@pytest.mark.parametrize("value", ["0", "FALSE", "false"])
def test_unescaped_log_messages(value):
    """Triton's own variable for unescaped messages is respected."""
    assert not parse(TRITON_SERVER_ESCAPE_LOG_MESSAGES=value).log.escape
    assert parse(TRITON_SERVER_ESCAPE_LOG_MESSAGES="1").log.escape


def test_rate_limit():
    """Resources are read in order, for one device or each; the mode in any case."""
    made = parse("--rate-limit=EXECUTION_COUNT", "--rate-limit-resource=R:10",
                 "--rate-limit-resource=S:0:1")  # fmt: skip
    assert made.rate_limit == "execution_count"
    assert made.rate_limit_resources == (("R", 10, None), ("S", 0, 1))
    by_variable = parse(INFERD_RATE_LIMIT_RESOURCE="R:10;S:0:1")
    assert by_variable.rate_limit_resources == made.rate_limit_resources


def test_help(capsys):
    """The help names every option, its default, and whether it has an effect."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"--{flag.name}" in text for flag in FLAGS)
    assert "--model-store" in text
    assert "Port HTTP listens on; 0 picks a free one. [8000]" in text
    assert "Write errors. [true]" in text
    assert "Threads that handle HTTP. Accepted, no effect. [8]" in text
    assert "Encrypt with TLS. [false]" in text
    assert "Serve Amazon SageMaker's calls. Not supported yet; only 'false' is accepted." in text
    assert "<protocols>:<key>=<value>. Not supported yet." in text
    assert "--print-config" in text


def test_print_config_is_a_switch():
    """Showing the configuration needs no value and is off by default."""
    assert not parser().parse_args([*BASE]).print_config
    assert parser().parse_args([*BASE, "--print-config"]).print_config


def test_option_table():
    """The start-up table shows Triton's rows with the values in force."""
    metadata = ServerMetadataResponse(name="triton", version="2.73.0", extensions=["a", "b"])
    config = ServerConfig(
        model_repositories=("/a", "/b"),
        model_control_mode="explicit",
        load_models=("m", "n"),
        auto_complete_config=False,
        cuda_memory_pool_byte_size={1: 2, 0: 67108864},
        strict_readiness=False,
        response_cache_byte_size=1,
        rate_limit="execution_count",
        rate_limit_resources=(("R", 10, None), ("S", 5, 1)),
    )
    assert list(option_rows(config, metadata)) == [
        ("server_id", "triton"),
        ("server_version", "2.73.0"),
        ("server_extensions", "a b"),
        ("model_repository_path[0]", "/a"),
        ("model_repository_path[1]", "/b"),
        ("model_control_mode", "MODE_EXPLICIT"),
        ("startup_models_0", "m"),
        ("startup_models_1", "n"),
        ("strict_model_config", "1"),
        ("model_config_name", ""),
        ("rate_limit", "EXEC_COUNT"),
        ("rate_limit_resource[0]", "R:10"),
        ("rate_limit_resource[1]", "S:5:1"),
        ("pinned_memory_pool_byte_size", "268435456"),
        ("cuda_memory_pool_byte_size{0}", "67108864"),
        ("cuda_memory_pool_byte_size{1}", "2"),
        ("min_supported_compute_capability", "6.0"),
        ("strict_readiness", "0"),
        ("exit_timeout", "30"),
        ("cache_enabled", "1"),
    ]
    plain = ServerConfig(model_repositories=("/a",))
    assert {("cache_enabled", "0"), ("rate_limit", "OFF")} <= set(option_rows(plain, metadata))
