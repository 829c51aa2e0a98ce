"""
The client library's example flows, each in a script under ``clients/``.

The scripts are listed by reading them, not by importing them: the client library and its
protobuf classes stay in processes of their own.
"""

import ast
import json
from functools import cache
from pathlib import Path

import pytest

CLIENTS = Path(__file__).with_name("clients")
NEEDS_EXPLICIT_MODE = {"model_control.py"}
NEEDS_WEIGHTS = {"images.py"}


def flows_of(script: Path) -> list[str]:
    """Return the names of the functions with the ``@flow`` mark."""
    return [
        node.name
        for node in ast.parse(script.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "flow" for mark in node.decorator_list)
    ]


FLOWS = [(s.name, name) for s in sorted(CLIENTS.glob("*.py")) for name in flows_of(s)]


@pytest.fixture(scope="module")
def outcomes(request, run_client):
    """What became of the flows of a script, run once."""

    @cache
    def run(script: str) -> dict[str, str | None]:
        explicit = script in NEEDS_EXPLICIT_MODE
        server = request.getfixturevalue("explicit_server" if explicit else "server")
        addresses = (server.http, server.grpc, server.metrics, str(server.repository))
        return json.loads(run_client(script, *addresses))

    return run


@pytest.mark.parametrize(("script", "flow"), FLOWS, ids=lambda value: value)
def test_a_client_program_works_unchanged(outcomes, repository, script, flow):
    """A program written for the reference's client library gets what it expects."""
    if script in NEEDS_WEIGHTS and not (repository / "densenet_onnx").exists():
        pytest.skip("the classifiers' weights could not be downloaded")
    failure = outcomes(script)[flow]
    assert failure is None, failure
