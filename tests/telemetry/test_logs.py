"""Tests of the log records."""

import json
import logging
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import ConfigError
from inferd.telemetry import logs
from inferd.telemetry.logs import LogSettings, RecordFormatter

DEFAULT = re.compile(
    r"(?P<level>\w)(?P<month>\d{2})(?P<day>\d{2}) (?P<timestamp>\d{2}:\d{2}:\d{2}\.\d{6}) "
    r"(?P<pid>\d+) (?P<file>[\w\.]+):(?P<line>\d+)\] (?P<message>.*)"
)
ISO = re.compile(
    r"(?P<timestamp>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z) (?P<level>\w+) (?P<pid>\d+) "
    r"(?P<file>.+):(?P<line>\d+)] (?P<message>.*)"
)


@pytest.fixture
def log():
    """A logger below ``inferd``; everything is as it was before afterwards."""
    root = logging.getLogger(logs.LOGGER_NAME)
    before = root.level, root.propagate, list(root.handlers)
    yield logging.getLogger("inferd.test")
    for handler in set(root.handlers) - set(before[2]):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[0])
    root.propagate, root.handlers = before[1:]


def record(message="loading: simple:1", level=logging.INFO, **changes):
    """Return a record made at a known moment."""
    made = logging.LogRecord("inferd", level, "/x/server.py", 441, message, None, None)
    made.created, made.process = 1716235405.829575, 3355
    vars(made).update(changes)
    return made


def test_default_record():
    """The default format is glog's, in UTC, with the message as a JSON string."""
    assert RecordFormatter().format(record()) == (
        'I0520 20:03:25.829575 3355 server.py:441] "loading: simple:1"'
    )


def test_iso_record():
    """The ISO8601 format starts with the full date."""
    assert RecordFormatter("ISO8601").format(record()) == (
        '2024-05-20T20:03:25Z I 3355 server.py:441] "loading: simple:1"'
    )


@pytest.mark.parametrize(
    ("level", "letter"),
    [
        (logging.CRITICAL, "E"),
        (logging.ERROR, "E"),
        (logging.ERROR - 1, "W"),
        (logging.WARNING, "W"),
        (logging.WARNING - 1, "I"),
        (logging.INFO, "I"),
        (logs.verbose(2), "I"),
    ],
)
def test_level_letter(level, letter):
    """A record's first letter is its level's; verbose records are informational."""
    assert RecordFormatter().format(record(level=level))[0] == letter


def test_unescaped_message():
    """With escaping off the message is written as it is."""
    assert RecordFormatter(escape=False).format(record('a "b"')).endswith('] a "b"')


def test_raw_record():
    """A table starts on a line of its own and is followed by an empty one."""
    text = RecordFormatter().format(record("+--+\n| a |", inferd_raw=True))
    assert text == "I0520 20:03:25.829575 3355 server.py:441] \n+--+\n| a |\n"


def test_traceback_is_part_of_the_message():
    """A traceback stays within its record's line."""
    try:
        raise ValueError("broken\nmodel")
    except ValueError as error:
        made = record("failed", exc_info=(type(error), error, error.__traceback__))
    text = RecordFormatter().format(made)
    message = json.loads(DEFAULT.fullmatch(text)["message"])
    assert message.startswith("failed\nTraceback")
    assert message.endswith("ValueError: broken\nmodel")


@pytest.mark.parametrize(
    "attack",
    ["\n", "\r", "\x1b[31m", "\x9b31m", "\x00", "\x7f", "\u2028", "\u202e", "\u2066", "\udc80"],
)
def test_injection_is_escaped(attack):
    """Line breaks and terminal commands in a message are spelled out."""
    text = logs.quote(f"model {attack} x")
    assert attack not in text
    assert text.encode().isascii()
    assert json.loads(text) == f"model {attack} x"


@given(st.text(st.characters()))
def test_any_message_stays_in_one_line(message):
    """Whatever the message, its record is one line that reads back as the message."""
    text = RecordFormatter().format(record(message.replace("%", "%%")))
    assert len(text.splitlines()) == 1
    assert json.loads(DEFAULT.fullmatch(text)["message"]) == message.replace("%", "%%")


def test_levels_go_to_their_streams(log, capsys):
    """INFO goes to stdout, WARNING and ERROR go to stderr."""
    logs.configure(LogSettings())
    log.info("one")
    log.warning("two")
    log.error("three")
    out, err = capsys.readouterr()
    assert [DEFAULT.fullmatch(line)["message"] for line in out.splitlines()] == ['"one"']
    assert [DEFAULT.fullmatch(line)["level"] for line in err.splitlines()] == ["W", "E"]
    assert DEFAULT.fullmatch(out.strip())["pid"] == str(os.getpid())
    assert DEFAULT.fullmatch(out.strip())["file"] == "test_logs.py"


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({}, ["I", "W", "E"]),
        ({"info": False}, ["W", "E"]),
        ({"info": False, "warning": False}, ["E"]),
        ({"info": False, "warning": False, "error": False}, []),
        ({"warning": False}, ["I", "E"]),
        ({"error": False}, ["I", "W"]),
        ({"verbose_level": 1}, ["V1", "I", "W", "E"]),
        ({"verbose_level": 2}, ["V1", "V2", "I", "W", "E"]),
        ({"verbose_level": 99}, ["V1", "V2", "I", "W", "E"]),
        ({"verbose_level": 1, "info": False}, ["V1", "W", "E"]),
    ],
)
def test_levels_are_switched_one_by_one(log, tmp_path, settings, written):
    """Each level is written or not as its own setting says."""
    file = tmp_path / "log"
    logs.configure(LogSettings(file=str(file), **settings))
    log.debug("V1")
    log.log(logs.verbose(2), "V2")
    log.info("I")
    log.warning("W")
    log.error("E")
    lines = file.read_text().splitlines()
    assert [json.loads(DEFAULT.fullmatch(line)["message"]) for line in lines] == written


def test_unwanted_levels_are_cheap(log):
    """What nobody wants is refused before a record is made."""
    logs.configure(LogSettings())
    assert not log.isEnabledFor(logging.DEBUG)
    logs.update(verbose_level=1)
    assert log.isEnabledFor(logging.DEBUG)
    assert not log.isEnabledFor(logs.verbose(2))


def test_file_instead_of_console(log, tmp_path, capsys):
    """A log file is appended to, and the console stays quiet."""
    file = tmp_path / "log"
    file.write_text("before\n")
    logs.configure(LogSettings(file=str(file), format="ISO8601"))
    log.error("naïve \udc80")
    before, line = file.read_text(encoding="utf-8").splitlines()
    assert before == "before"
    assert ISO.fullmatch(line)["message"] == '"naïve \\udc80"'
    assert capsys.readouterr() == ("", "")


def test_unescaped_record_in_a_file(log, tmp_path):
    """A message no encoding has does not stop the log."""
    file = tmp_path / "log"
    logs.configure(LogSettings(file=str(file), escape=False))
    log.error("\udc80")
    assert file.read_text().endswith("] \\udc80\n")


def test_file_that_cannot_be_opened(log, tmp_path):
    """A bad log file is named, and the settings before stay in force."""
    logs.configure(LogSettings(verbose_level=3))
    with pytest.raises(ConfigError, match=r"--log-file: cannot open .*nowhere"):
        logs.update(file=str(tmp_path / "nowhere" / "log"))
    assert logs.current() == LogSettings(verbose_level=3)


def test_update_changes_only_what_is_named(log, capsys):
    """A change at run time leaves the other settings alone and holds at once."""
    assert logs.current() == LogSettings()
    logs.configure(LogSettings(verbose_level=2))
    assert logs.update(format="ISO8601") == LogSettings(verbose_level=2, format="ISO8601")
    assert logs.current() == LogSettings(verbose_level=2, format="ISO8601")
    log.info("x")
    assert ISO.fullmatch(capsys.readouterr().out.strip())


def test_other_handlers_are_left_alone(log):
    """A handler somebody else put on the logger stays, and the records do not reach the root."""
    other = logging.NullHandler()
    root = logging.getLogger(logs.LOGGER_NAME)
    root.addHandler(other)
    assert logs.current() == LogSettings()
    logs.configure(LogSettings())
    logs.configure(LogSettings())
    assert other in root.handlers
    assert len([h for h in root.handlers if h is not other and h.formatter is not None]) == 1
    assert not root.propagate


def test_broken_console_does_not_stop_the_server(log, monkeypatch):
    """A console that is gone costs the record, not the caller."""
    logs.configure(LogSettings())
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr("sys.stdout", None)
    log.info("lost")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "xml"}, "invalid argument for --log_format, got: xml"),
        ({"verbose_level": -1}, "invalid argument for --log-verbose, got: -1"),
    ],
)
def test_bad_settings(settings, message):
    """A bad setting is refused with Triton's text."""
    with pytest.raises(ConfigError) as caught:
        LogSettings(**settings)
    assert str(caught.value) == message


def test_console_width(monkeypatch):
    """A table has the terminal's width, or Triton's 500 columns where there is no terminal."""
    monkeypatch.setenv("COLUMNS", "132")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert logs.console_width() == 500
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert logs.console_width() == 132
