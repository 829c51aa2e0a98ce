"""
Runs the flows of a client script and prints, as JSON, what became of each.

A flow is a function with the ``@flow`` mark that takes the server's addresses and asserts.
A script ends with ``main()``; the flows of a script run in order in one process, because
importing the client library costs more than any flow.
"""

import asyncio
import inspect
import json
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

FLOWS = {}


def flow(function):
    """Mark a function as a flow."""
    FLOWS[function.__name__] = function
    return function


def outcome(function, server):
    """Run one flow; return nothing, or the traceback of its failure."""
    try:
        answer = function(server)
        if inspect.iscoroutine(answer):
            asyncio.run(asyncio.wait_for(answer, 30))
    except Exception:
        return traceback.format_exc()
    return None


def main():
    """Run every flow of the script against the server named on the command line."""
    http, grpc, metrics, repository = sys.argv[1:5]
    server = SimpleNamespace(http=http, grpc=grpc, metrics=metrics, repository=Path(repository))
    print(json.dumps({name: outcome(function, server) for name, function in FLOWS.items()}))


def raised(kind, function, *arguments, **keywords):
    """Return the exception of this kind that the call raises; fail when there is none."""
    try:
        function(*arguments, **keywords)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


async def raised_in_time(kinds, awaitable):
    """Return the exception of these kinds that awaiting raises within ten seconds."""
    try:
        await asyncio.wait_for(awaitable, 10)
    except kinds as error:
        return error
    raise AssertionError(f"no {kinds}")
