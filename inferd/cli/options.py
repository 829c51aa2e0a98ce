"""
``inferd serve``'s options: the parser, and the configuration that flags and environment make.

A flag beats its environment variable (``--http-port`` beats ``INFERD_HTTP_PORT``), which
beats the default. No other module reads either.

Source of names, defaults and messages: ``tritonserver --help``.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from inferd._generated.inference import ServerMetadataResponse
from inferd.cli.flag import Flag
from inferd.cli.flags import FLAGS, GROUPS
from inferd.config import ServerConfig
from inferd.errors import ConfigError
from inferd.telemetry.logs import LogSettings

_LOG: Final = "log."
_ALIASES: Final = {"model-repository": ("--model-store",)}
_SEPARATOR: Final = ";"
_ESCAPE_VARIABLE: Final = "TRITON_SERVER_ESCAPE_LOG_MESSAGES"
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes puts into ``INFERD_HTTP_PORT`` for a Service called ``inferd-http``."""

_EPILOG: Final = f"""\
Every option can be set by an environment variable: INFERD_HTTP_PORT=8000 does what
--http-port=8000 does, and the option beats the variable. In a variable, the values of
an option that may be repeated are separated by "{_SEPARATOR}". Booleans are true, 1, on, false, 0
and off; unambiguous beginnings of names are taken; --option=value is --option value.
"""


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add every option to ``parser``, in groups.

    Values stay texts here; :func:`config_from_args` reads them, so that flags and
    environment variables fail alike.
    """
    parser.usage = "%(prog)s --model-repository VALUE [--OPTION VALUE ...]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    for name, flags in GROUPS.items():
        group = parser.add_argument_group(name)
        for flag in flags:
            _add(group, flag)
        if name == "inferd":
            group.add_argument(
                "--print-config",
                action="store_true",
                help="Print the configuration as JSON and exit.",
            )


def config_from_args(
    args: argparse.Namespace,
    environ: Mapping[str, str],
    *,
    warn: Callable[[str], None] | None = None,
) -> ServerConfig:
    """
    Return the configuration that the command line and the environment ask for.

    Args:
        args: What a parser with :func:`add_serve_arguments` made of the command line.
        environ: The environment.
        warn: Takes warnings about deprecated and ignored options; stderr when not given.

    Raises:
        ConfigError: A value is bad or asks for what is not supported; names the option.
    """
    warn = warn or _to_stderr
    chosen: dict[str, Any] = {}
    chosen_by: dict[str, str] = {}
    ignored = []
    for flag, source, texts in _given(args, environ):
        if flag.warning:
            warn(flag.warning)
        if flag.ignored:
            ignored.append(source)
        value = _value(flag, source, texts)
        if flag.field is not None and value is not None:
            if chosen.get(flag.field, value) != value:
                raise ConfigError(
                    f"Incompatible flags {chosen_by[flag.field]} and {source} both provided. "
                    "Please provide one or the other."
                )
            chosen[flag.field] = value
            chosen_by[flag.field] = source
    if ignored:
        warn(f"Warning: no effect in inferd: {', '.join(ignored)}")
    return _assemble(chosen, environ)


def option_rows(
    config: ServerConfig, metadata: ServerMetadataResponse
) -> Iterator[tuple[str, str]]:
    """
    Yield the rows of Triton's start-up table of options.

    Args:
        config: The configuration in force.
        metadata: The server's own metadata.
    """
    yield "server_id", metadata.name
    yield "server_version", metadata.version
    yield "server_extensions", " ".join(metadata.extensions)
    for index, path in enumerate(config.model_repositories):
        yield f"model_repository_path[{index}]", path
    yield "model_control_mode", f"MODE_{config.model_control_mode.upper()}"
    for index, model in enumerate(config.load_models):
        yield f"startup_models_{index}", model
    yield "strict_model_config", _digit(not config.auto_complete_config)
    yield "model_config_name", config.model_config_name
    yield "rate_limit", "OFF" if config.rate_limit == "off" else "EXEC_COUNT"
    for index, resource in enumerate(config.rate_limit_resources):
        parts = (str(part) for part in resource if part is not None)
        yield f"rate_limit_resource[{index}]", ":".join(parts)
    yield "pinned_memory_pool_byte_size", str(config.pinned_memory_pool_byte_size)
    for gpu, size in sorted(config.cuda_memory_pool_byte_size.items()):
        yield f"cuda_memory_pool_byte_size{{{gpu}}}", str(size)
    yield "min_supported_compute_capability", str(config.min_supported_compute_capability)
    yield "strict_readiness", _digit(config.strict_readiness)
    yield "exit_timeout", str(config.exit_timeout_secs)
    yield "cache_enabled", _digit(config.response_cache_byte_size > 0)


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    names = (f"--{flag.name}", *_ALIASES.get(flag.name, ()))
    text = _help(flag).replace("%", "%%")
    if flag.bare:
        group.add_argument(*names, action="append_const", const="true", help=text)
    else:
        group.add_argument(*names, action="append", metavar="VALUE", help=text)


def _help(flag: Flag) -> str:
    """Return the help text, with what may be given when not everything is taken."""
    if flag.refused:
        only = f"; only '{flag.default}' is accepted" if flag.neutral else ""
        return f"{flag.help} Not supported yet{only}."
    default = "" if flag.bare else flag.default or _default(flag.field)
    text = f"{flag.help} Accepted, no effect." if flag.ignored else flag.help
    return f"{text} [{default}]" if default else text


def _default(name: str | None) -> str:
    """Return a configuration field's default as one would write it after the option."""
    if name is None:
        return ""
    owner = LogSettings if name.startswith(_LOG) else ServerConfig
    found: Field[Any] = next(f for f in fields(owner) if f.name == name.removeprefix(_LOG))
    if found.default is MISSING or found.default == ():
        return ""
    return str(found.default).lower() if isinstance(found.default, bool) else str(found.default)


def _given(
    args: argparse.Namespace, environ: Mapping[str, str]
) -> Iterator[tuple[Flag, str, list[str]]]:
    """Yield every option that is set, what set it, and its texts."""
    for flag in FLAGS:
        texts = getattr(args, flag.name.replace("-", "_"))
        if texts is not None:
            yield flag, f"--{flag.name}", texts
            continue
        text = environ.get(flag.variable, "")
        if text and not _SERVICE_ADDRESS.match(text):
            yield flag, flag.variable, [part for part in text.split(_SEPARATOR) if part]


def _value(flag: Flag, source: str, texts: list[str]) -> object:
    for text in texts if flag.refused else ():
        if text.lower() not in [neutral.lower() for neutral in flag.neutral]:
            only = f"; only '{flag.default}' is" if flag.neutral else ""
            raise ConfigError(f"{source}: '{text}' is not supported yet{only}")
    try:
        return flag.read(texts)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def _assemble(chosen: dict[str, Any], environ: Mapping[str, str]) -> ServerConfig:
    chosen.setdefault("model_repositories", ())
    address = chosen.get("http_address", "unix:")
    if not address.startswith("unix:"):
        chosen.setdefault("metrics_address", address)
    log = {
        name.removeprefix(_LOG): chosen.pop(name) for name in list(chosen) if name.startswith(_LOG)
    }
    log["escape"] = environ.get(_ESCAPE_VARIABLE, "").lower() not in ("0", "false")
    return ServerConfig(log=LogSettings(**log), **chosen)


def _digit(value: bool) -> str:
    return "1" if value else "0"


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)
