"""Runs a client script in a process of its own, with the client library as others have it."""

import subprocess
import sys
from pathlib import Path

SECONDS = 60.0


def run_client(script: Path, *arguments: str, given: str = "", seconds: float = SECONDS) -> str:
    """
    Run a script to its end; return what it printed.

    Args:
        script: The script.
        arguments: Its arguments.
        given: What it reads from its standard input.
        seconds: How long it may take.

    Raises:
        AssertionError: It failed; with what it wrote to its standard error.
    """
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{script.name}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout
