"""Tests of ``inferd models``."""

import json

import pytest

from inferd.cli import models


@pytest.fixture
def index(server):
    """Give the server one model of each kind an index can hold."""
    server.index += [
        {"name": "simple", "version": "1", "state": "READY"},
        {"name": "broken", "version": "12", "state": "UNAVAILABLE", "reason": "Internal: bad"},
        {"name": "never_loaded"},
    ]


@pytest.mark.usefixtures("index")
def test_lists_models_in_aligned_columns(server, run_cli, protocol):
    """Name, version, state and reason of every version stand in columns."""
    outcome = run_cli(models, "-i", protocol, "-u", server.url(protocol))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "MODEL         VERSION  STATE        REASON\n"
        "simple        1        READY\n"
        "broken        12       UNAVAILABLE  Internal: bad\n"
        "never_loaded\n"
    )


@pytest.mark.usefixtures("index")
def test_json_has_only_what_is_known(server, run_cli, protocol):
    """--json prints the index as the protocol has it, without empty fields."""
    outcome = run_cli(models, "-i", protocol, "-u", server.url(protocol), "--json")
    assert json.loads(outcome.out) == server.index


def test_empty_repository(server, run_cli, protocol):
    """A server without models gives the headings alone."""
    outcome = run_cli(models, "-i", protocol, "-u", server.url(protocol))
    assert outcome.out == "MODEL  VERSION  STATE  REASON\n"


def test_unreachable_server(run_cli, protocol, unused_tcp_port):
    """A server that is not there is one line on standard error and exit code 1."""
    outcome = run_cli(models, "-i", protocol, "-u", f"localhost:{unused_tcp_port}")
    assert (outcome.code, outcome.out) == (1, "")
    assert str(unused_tcp_port) in outcome.err
    assert outcome.err.count("\n") == 1
