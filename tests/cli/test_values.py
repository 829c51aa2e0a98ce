"""Tests of the readers of option texts."""

import pytest

from inferd.cli import values


@pytest.mark.parametrize("text", ["true", "1", "on", "True", "ON"])
def test_true(text):
    """Triton's words for true, in any case."""
    assert values.boolean(text) is True


@pytest.mark.parametrize("text", ["false", "0", "off", "False", "OFF"])
def test_false(text):
    """Triton's words for false, in any case."""
    assert values.boolean(text) is False


@pytest.mark.parametrize("text", ["", "yes", "2", " true"])
def test_no_boolean(text):
    """Anything else is refused in Triton's words."""
    with pytest.raises(ValueError, match=f"^invalid value for bool option: {text}$"):
        values.boolean(text)


def test_numbers():
    """Numbers are decimal and may be negative."""
    assert values.integer("-1") == -1
    assert values.number("0.5") == 0.5


@pytest.mark.parametrize("read", [values.integer, values.number])
@pytest.mark.parametrize("text", ["", "abc", "12abc", "0x10"])
def test_no_number(read, text):
    """A number with anything behind it is refused in Triton's words."""
    with pytest.raises(ValueError, match=f"^Invalid option value. Got {text}$"):
        read(text)


def test_fraction_is_no_integer():
    """Half a port is refused."""
    with pytest.raises(ValueError, match=r"Got 8000\.5"):
        values.integer("8000.5")


@pytest.mark.parametrize(("text", "level"), [("true", 1), ("off", 0), ("0", 0), ("1", 1), ("3", 3)])
def test_level(text, level):
    """A verbosity is a number or a boolean."""
    assert values.level(text) == level


def test_non_empty():
    """An option that must not be empty says so."""
    read = values.non_empty("--x")
    assert read("a") == "a"
    with pytest.raises(ValueError, match=r"^empty argument for --x$"):
        read("")


def test_choice():
    """Another word is refused with those that would be taken."""
    read = values.choice("a", "b")
    assert read("b") == "b"
    with pytest.raises(ValueError, match=r"^must be one of a, b, got c$"):
        read("c")


def test_last_counts():
    """Of an option given twice the last counts, and the first must be well formed too."""
    assert values.last(values.integer)(["1", "2"]) == 2
    with pytest.raises(ValueError, match="Got a"):
        values.last(values.integer)(["a", "2"])


def test_every():
    """A repeatable option keeps its order."""
    assert values.every(["b", "a", "b"]) == ("b", "a", "b")


def test_no_if_true():
    """A switch that turns something off does nothing when it is false."""
    assert values.no_if_true(["true"]) is False
    assert values.no_if_true(["false"]) is None


def test_backend_settings():
    """Settings are per backend or for all; the last of a name counts."""
    assert values.backend_settings(
        ["onnxruntime,a=1", "default-max-batch-size=4", "onnxruntime,a=2", "python,b=x=y,z", "c="]
    ) == {
        "onnxruntime": {"a": "2"},
        "": {"default-max-batch-size": "4", "c": ""},
        "python": {"b": "x=y,z"},
    }


@pytest.mark.parametrize(
    "text", ["", "onnxruntime", "onnxruntime,a", "onnxruntime,=1", "=1", ",a=1"]
)
def test_bad_backend_settings(text):
    """A setting without a name or a value is refused with the form that is expected."""
    with pytest.raises(ValueError, match="expected <backend>,<setting>=<value>"):
        values.backend_settings([text])


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["counter_latencies=false"], False),
        (["counter_latencies=true", "summary_latencies=false"], True),
        (["histogram_latencies=0"], None),
        (['summary_quantiles="0.5:0.05,0.9:0.01"'], None),
    ],
)
def test_metrics_settings(texts, wanted):
    """Only the latency counters can be switched."""
    assert values.metrics_settings(texts) is wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary_latencies=true", "^summary_latencies=true is not supported yet$"),
        ("histogram_latencies=on", "^histogram_latencies=on is not supported yet$"),
        ("counter_latencies", "expected one of counter_latencies"),
        ("counter_latency=true", "expected one of counter_latencies"),
        ("counter_latencies=maybe", "invalid value for bool option: maybe"),
    ],
)
def test_bad_metrics_settings(text, message):
    """A metric that would be missing, and a setting nobody knows, are refused."""
    with pytest.raises(ValueError, match=message):
        values.metrics_settings([text])


def test_cache_settings():
    """The last size counts, as with every option."""
    assert values.cache_settings(["local,size=2", "local,size=1"]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local", "expected <cache>,<setting>=<value>: local"),
        ("size=1", "expected <cache>,<setting>=<value>: size=1"),
        ("local,size", "expected <cache>,<setting>=<value>: local,size"),
        ("redis,size=1", "cache 'redis' is not supported; only 'local' is"),
        ("local,port=1", "cache 'local' has no setting 'port'; only 'size'"),
        ("local,size=x", "Invalid option value. Got x"),
        ("local,size=0", "the size of cache 'local' must be greater than 0: local,size=0"),
    ],
)
def test_bad_cache_settings(text, message):
    """The refusal says what was expected."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        values.cache_settings([text])


def test_trace_settings():
    """Tracing may be configured as long as it is off."""
    values.trace_settings(["level=OFF", "level=off", "rate=1000", "triton,file=/x"])
    with pytest.raises(ValueError, match=r"^level=TIMESTAMPS is not supported yet$"):
        values.trace_settings(["level=TIMESTAMPS"])
    with pytest.raises(ValueError, match="expected <setting>=<value>"):
        values.trace_settings(["level"])


def test_pools():
    """A pool's size is per GPU."""
    assert values.pools(["0:67108864", "1:0"]) == {0: 67108864, 1: 0}
    with pytest.raises(ValueError, match="expected <gpu>:<bytes>: 0"):
        values.pools(["0"])
    with pytest.raises(ValueError, match="Got x"):
        values.pools(["0:x"])


def test_word():
    """A word is taken in any case."""
    assert values.word("off", "on")("OFF") == "off"
    with pytest.raises(ValueError, match=r"^must be one of off, on, got x$"):
        values.word("off", "on")("X")


def test_rate_limit_resources():
    """The device may be left out."""
    assert values.rate_limit_resources(["R:1", "S:2:3"]) == (("R", 1, None), ("S", 2, 3))


@pytest.mark.parametrize("text", ["", "R", ":1", "R:1:2:3", "R:", "R:1:", "R:x"])
def test_bad_rate_limit_resources(text):
    """What is no resource is refused with what was expected."""
    with pytest.raises(ValueError, match=r"^(expected <name>|Invalid option value)"):
        values.rate_limit_resources([text])
