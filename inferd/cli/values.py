"""
Turns the text of an option into its value.

Every reader raises ``ValueError`` with what is wrong; who calls it knows the option's
name. Texts are Triton's where it has one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_TRUE: Final = ("true", "1", "on")
_FALSE: Final = ("false", "0", "off")
_METRICS_SETTINGS: Final = (
    "counter_latencies",
    "histogram_latencies",
    "summary_latencies",
    "summary_quantiles",
)


def boolean(text: str) -> bool:
    """Read true, 1, on, false, 0 or off in any case."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"invalid value for bool option: {text}")


def integer(text: str) -> int:
    """Read a decimal integer."""
    return _number(int, text)


def number(text: str) -> float:
    """Read a decimal number."""
    return _number(float, text)


def level(text: str) -> int:
    """Read a verbosity: an integer, or a boolean for 1 and 0."""
    try:
        return int(boolean(text))
    except ValueError:
        return integer(text)


def non_empty(option: str) -> Callable[[str], str]:
    """Return a reader of any text but the empty one; ``option`` is for the message."""

    def read(text: str) -> str:
        if not text:
            raise ValueError(f"empty argument for {option}")
        return text

    return read


def choice(*words: str) -> Callable[[str], str]:
    """Return a reader of one of ``words``."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}, got {text}")
        return text

    return read


def word(*words: str) -> Callable[[str], str]:
    """Return a reader of one of ``words``, in any case."""
    read = choice(*words)
    return lambda text: read(text.lower())


def last(read: Callable[[str], T]) -> Callable[[Sequence[str]], T]:
    """Return a reader of an option's occurrences: the last counts."""

    def read_last(texts: Sequence[str]) -> T:
        return [read(text) for text in texts][-1]

    return read_last


def every(texts: Sequence[str]) -> tuple[str, ...]:
    """Read a repeatable option: all its occurrences in order."""
    return tuple(texts)


def no_if_true(texts: Sequence[str]) -> bool | None:
    """Read an option that switches something off: False when true, nothing when false."""
    return False if last(boolean)(texts) else None


def backend_settings(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """
    Read ``<backend>,<setting>=<value>`` and, for every backend, ``<setting>=<value>``.

    Returns:
        Backend name -> setting -> value; ``""`` is every backend.
    """
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        head, equals, value = text.partition("=")
        backend, comma, setting = head.rpartition(",")
        if not equals or not setting or (comma and not backend):
            raise ValueError(f"expected <backend>,<setting>=<value> or <setting>=<value>: {text}")
        settings.setdefault(backend, {})[setting] = value
    return settings


def cache_settings(texts: Sequence[str]) -> int:
    """
    Read ``<cache>,<setting>=<value>`` cache settings.

    Returns:
        The size in bytes of the only cache there is, ``local``.
    """
    size = 0
    for text in texts:
        cache, comma, rest = text.partition(",")
        setting, equals, value = rest.partition("=")
        if not comma or not equals:
            raise ValueError(f"expected <cache>,<setting>=<value>: {text}")
        if cache != "local":
            raise ValueError(f"cache '{cache}' is not supported; only 'local' is")
        if setting != "size":
            raise ValueError(f"cache 'local' has no setting '{setting}'; only 'size'")
        size = integer(value)
        if size < 1:
            raise ValueError(f"the size of cache 'local' must be greater than 0: {text}")
    return size


def rate_limit_resources(texts: Sequence[str]) -> tuple[tuple[str, int, int | None], ...]:
    """
    Read ``<name>:<count>`` and ``<name>:<count>:<device>``.

    Returns:
        (name, count, device or None) of each.
    """
    resources = []
    for text in texts:
        name, *numbers = text.split(":")
        if not name or not 1 <= len(numbers) <= 2:
            raise ValueError(f"expected <name>:<count> or <name>:<count>:<device>: {text}")
        count, device = integer(numbers[0]), integer(numbers[1]) if numbers[1:] else None
        resources.append((name, count, device))
    return tuple(resources)


def metrics_settings(texts: Sequence[str]) -> bool | None:
    """
    Read ``<setting>=<value>`` metrics settings.

    Returns:
        Whether the latency counters are wanted; None when nothing says so.
    """
    wanted: bool | None = None
    for text in texts:
        setting, equals, value = text.partition("=")
        if not equals or setting not in _METRICS_SETTINGS:
            raise ValueError(f"expected one of {', '.join(_METRICS_SETTINGS)} and =: {text}")
        if setting == "counter_latencies":
            wanted = boolean(value)
        elif setting != "summary_quantiles" and boolean(value):
            raise ValueError(f"{text} is not supported yet")
    return wanted


def trace_settings(texts: Sequence[str]) -> None:
    """Read ``<setting>=<value>`` trace settings, of which only tracing nothing is supported."""
    for text in texts:
        setting, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected <setting>=<value> or <mode>,<setting>=<value>: {text}")
        if setting == "level" and value.upper() != "OFF":
            raise ValueError(f"{text} is not supported yet")


def pools(texts: Sequence[str]) -> Mapping[int, int]:
    """Read ``<gpu>:<bytes>`` pairs."""
    sizes = {}
    for text in texts:
        gpu, colon, size = text.partition(":")
        if not colon:
            raise ValueError(f"expected <gpu>:<bytes>: {text}")
        sizes[integer(gpu)] = integer(size)
    return sizes


def _number(kind: Callable[[str], T], text: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"Invalid option value. Got {text}") from None
