"""
Triton's log records, on the ``inferd`` logger.

Scripts match the record format (``^E0806 ...``), and log collectors split at line breaks,
so a message is written as one JSON string: whatever a client puts into a model name or a
request id stays inside the quotes of its record.

Verbose records, ``--log-verbose=N``, are records below INFO: level DEBUG is verbose 1 and
:func:`verbose` names the finer ones.

Source: Triton's ``TRITON_LOG`` records; its qa test L0_logging.
"""

import json
import logging
import re
import shutil
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, Final, Literal, TypedDict, Unpack, get_args

from inferd.errors import ConfigError

Format = Literal["default", "ISO8601"]

LOGGER_NAME: Final = "inferd"
"""The logger the handlers belong to; plugins log below it to be written the same way."""

RAW: Final = {"inferd_raw": True}
"""``extra`` of a record whose text follows its heading on lines of its own, as it is."""

_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves alone but a terminal obeys or an encoder refuses."""

_PIPE_WIDTH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """
    What is logged, how and where.

    Attributes:
        info: Whether INFO records are written.
        warning: Whether WARNING records are written.
        error: Whether ERROR records are written.
        verbose_level: Verbose records up to this level are written; 0 is none.
        format: ``default`` (``I0520 20:03:25.829575``) or ``ISO8601``.
        file: File to append to instead of the console; empty is the console.
        escape: Whether messages are written as JSON strings.

    Raises:
        ConfigError: The format is unknown or the level negative.
    """

    info: bool = True
    warning: bool = True
    error: bool = True
    verbose_level: int = 0
    format: Format = "default"
    file: str = ""
    escape: bool = True

    def __post_init__(self) -> None:
        if self.format not in get_args(Format):
            raise ConfigError(f"invalid argument for --log_format, got: {self.format}")
        if self.verbose_level < 0:
            raise ConfigError(f"invalid argument for --log-verbose, got: {self.verbose_level}")


class LogChanges(TypedDict, total=False):
    """The settings :func:`update` can change; the same as :class:`LogSettings`."""

    info: bool
    warning: bool
    error: bool
    verbose_level: int
    format: Format
    file: str
    escape: bool


def verbose(level: int) -> int:
    """Return the ``logging`` level of verbose records of ``level``, 1 to 10."""
    return logging.DEBUG + 1 - level


def configure(settings: LogSettings) -> None:
    """
    Write the ``inferd`` logger's records as ``settings`` say, from now on.

    Raises:
        ConfigError: The log file cannot be opened; the old settings stay in force.
    """
    logger = logging.getLogger(LOGGER_NAME)
    handler = _Handler(settings)
    for old in [old for old in logger.handlers if isinstance(old, _Handler)]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(_lowest_level(settings))
    logger.propagate = False


def current() -> LogSettings:
    """Return the settings in force; the defaults before :func:`configure`."""
    for handler in logging.getLogger(LOGGER_NAME).handlers:
        if isinstance(handler, _Handler):
            return handler.settings
    return LogSettings()


def update(**changes: Unpack[LogChanges]) -> LogSettings:
    """
    Change some settings and return all of them.

    Raises:
        ConfigError: A value is refused; nothing changed.
    """
    settings = replace(current(), **changes)
    configure(settings)
    return settings


def console_width() -> int:
    """Return the terminal's width in columns; 500, as in Triton, when stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH


class RecordFormatter(logging.Formatter):
    """
    Writes one record as Triton does.

    Args:
        style: The time's format.
        escape: Whether the message becomes a JSON string.
    """

    def __init__(self, style: Format = "default", *, escape: bool = True) -> None:
        super().__init__()
        self._iso = style == "ISO8601"
        self._escape = escape

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, without the line break that ends it."""
        heading = self._heading(record)
        message = record.getMessage()
        if getattr(record, "inferd_raw", False):
            return f"{heading}\n{message}\n"
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        return heading + (quote(message) if self._escape else message)

    def _heading(self, record: logging.LogRecord) -> str:
        level = _letter(record.levelno)
        time = datetime.fromtimestamp(record.created, UTC)
        stamp = (
            f"{time:%Y-%m-%dT%H:%M:%SZ} {level}" if self._iso else f"{level}{time:%m%d %H:%M:%S.%f}"
        )
        return f"{stamp} {record.process} {record.filename}:{record.lineno}] "


def quote(message: str) -> str:
    """Return ``message`` as a JSON string on one line that no terminal takes as a command."""
    text = json.dumps(message, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Handler(logging.Handler):
    """Writes records to the log file, or to stdout and from WARNING on to stderr."""

    def __init__(self, settings: LogSettings) -> None:
        super().__init__()
        self.settings = settings
        self._file = _open(settings.file) if settings.file else None
        self.setFormatter(RecordFormatter(settings.format, escape=settings.escape))
        self.addFilter(self._wanted)

    def emit(self, record: logging.LogRecord) -> None:
        """Write and flush one record; a failure is reported as ``logging`` does."""
        try:
            stream = self._stream(record.levelno)
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _stream(self, level: int) -> IO[str]:
        if self._file is not None:
            return self._file
        return sys.stderr if level >= logging.WARNING else sys.stdout

    def _wanted(self, record: logging.LogRecord) -> bool:
        level, settings = record.levelno, self.settings
        if level >= logging.ERROR:
            return settings.error
        if level >= logging.WARNING:
            return settings.warning
        if level >= logging.INFO:
            return settings.info
        return level >= verbose(settings.verbose_level)


def _open(path: str) -> IO[str]:
    try:
        return open(path, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"--log-file: cannot open {path!r}: {error.strerror}") from error


def _letter(level: int) -> str:
    if level >= logging.ERROR:
        return "E"
    return "W" if level >= logging.WARNING else "I"


def _lowest_level(settings: LogSettings) -> int:
    """Return the level below which nothing is wanted, so that ``logging`` can stop early."""
    if settings.verbose_level:
        return max(verbose(settings.verbose_level), 1)
    wanted = {
        logging.INFO: settings.info,
        logging.WARNING: settings.warning,
        logging.ERROR: settings.error,
    }
    return min((level for level, on in wanted.items() if on), default=logging.CRITICAL + 1)
