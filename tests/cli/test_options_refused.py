"""Options of the server that are refused, ignored or deprecated."""

import pytest

from inferd.cli.options import config_from_args
from tests.cli.serve_options import BASE, parse, parser, refusal


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (["--http-port=x"], {}, "--http-port: Invalid option value. Got x"),
        ([], {"INFERD_HTTP_PORT": "x"}, "INFERD_HTTP_PORT: Invalid option value. Got x"),
        (["--allow-http=x"], {}, "--allow-http: invalid value for bool option: x"),
        (["--log-format=x"], {}, "--log-format: must be one of default, ISO8601, got x"),
        (["--log-verbose=-1"], {}, "invalid argument for --log-verbose, got: -1"),
        (["--event-loop=x"], {}, "--event-loop: must be one of auto, uvloop, asyncio, got x"),
        (["--http-thread-count=x"], {}, "--http-thread-count: Invalid option value. Got x"),
        (["--grpc-infer-response-compression-level=x"], {},
         "--grpc-infer-response-compression-level: must be one of none, low, medium, high, got x"),
        (["--rate-limit=x"], {}, "--rate-limit: must be one of off, execution_count, got x"),
        (["--rate-limit-resource=R"], {}, "--rate-limit-resource: expected <name>:<count> or "
         "<name>:<count>:<device>: R"),
        (["--rate-limit-resource=:1"], {}, "--rate-limit-resource: expected <name>:<count> or "
         "<name>:<count>:<device>: :1"),
        (["--rate-limit-resource=R:1:2:3"], {}, "--rate-limit-resource: expected <name>:<count> "
         "or <name>:<count>:<device>: R:1:2:3"),
        (["--rate-limit-resource=R:x"], {}, "--rate-limit-resource: Invalid option value. Got x"),
        (["--rate-limit-resource=R:-1"], {},
         "--rate-limit-resource R: the count must be 0 or greater, got -1"),
        (["--rate-limit-resource=R:1:-1"], {},
         "--rate-limit-resource R: the device must be 0 or greater, got -1"),
    ],
)  # fmt: skip
def test_bad_values(flags, environ, message):
    """A bad value is refused in one line that names where it stands."""
    assert refusal(*flags, **environ) == message


def test_empty_config_name():
    """A config name must be one, in Triton's words."""
    assert refusal("--model-config-name=").endswith("empty argument for --model-config-name")


@pytest.mark.parametrize(
    "flag",
    [
        "--trace-config=level=TIMESTAMPS",
        "--trace-level=TIMESTAMPS",
        "--http-restricted-api=health:k=v",
        "--grpc-restricted-protocol=health:k=v",
        "--http-header-forward-pattern=.*",
        "--grpc-header-forward-pattern=.*",
        "--allow-sagemaker=true",
        "--allow-vertex-ai=true",
        "--allow-client-shm=true",
        "--model-namespacing=true",
        "--metrics-config=summary_latencies=true",
    ],
)
def test_missing_features_are_refused(flag):
    """Serving without a feature the operator asked for would be worse than not serving."""
    message = refusal(flag)
    assert message.startswith(flag.partition("=")[0])
    assert "not supported yet" in message


@pytest.mark.parametrize(
    "flag",
    [
        "--model-namespacing=False",
        "--rate-limit=OFF",
        "--trace-config=level=OFF",
        "--trace-level=off",
        "--http-header-forward-pattern=",
        "--allow-sagemaker=0",
        "--allow-client-shm=off",
        "--response-cache-byte-size=0",
    ],
)
def test_neutral_values_are_taken(flag):
    """Asking for none of a missing feature is fine."""
    assert parse(flag) == parse()


def test_refusal_says_what_is_taken():
    """The refusal names the value and the one that is accepted."""
    assert refusal("--model-namespacing=true") == (
        "--model-namespacing: 'true' is not supported yet; only 'false' is"
    )
    assert refusal(INFERD_HTTP_RESTRICTED_API="health:k=v") == (
        "INFERD_HTTP_RESTRICTED_API: 'health:k=v' is not supported yet"
    )


def test_only_the_cache_in_this_process_is_supported():
    """Another one is refused in one line."""
    assert refusal("--cache-config=redis,host=h") == (
        "--cache-config: cache 'redis' is not supported; only 'local' is"
    )


def test_two_options_that_contradict_each_other_are_refused():
    """The same said twice is fine."""
    assert refusal("--cache-config=local,size=5", "--response-cache-byte-size=6") == (
        "Incompatible flags --cache-config and --response-cache-byte-size both provided. "
        "Please provide one or the other."
    )
    same = parse("--cache-config=local,size=5", "--response-cache-byte-size=5")
    assert same.response_cache_byte_size == 5


def test_ignored_options_are_named():
    """Options that change nothing are taken, and one line says which they were."""
    warnings = []
    made = parse("--http-thread-count=4", warnings=warnings, INFERD_BACKEND_DIRECTORY="/x")
    assert made == parse()
    assert warnings == [
        "Warning: no effect in inferd: --http-thread-count, INFERD_BACKEND_DIRECTORY"
    ]


def test_deprecated_options_warn():
    """A deprecated option says what replaced it."""
    warnings = []
    parse("--strict-model-config=true", warnings=warnings)
    assert warnings == [
        "Warning: '--strict-model-config' has been deprecated! "
        "Please use '--disable-auto-complete-config' instead."
    ]


def test_warnings_go_to_stderr(capsys):
    """Warnings are not mixed with what the program prints."""
    config_from_args(parser().parse_args([*BASE, "--http-thread-count=4"]), {})
    assert capsys.readouterr() == ("", "Warning: no effect in inferd: --http-thread-count\n")
