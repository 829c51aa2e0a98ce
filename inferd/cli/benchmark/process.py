"""A process that makes load: told what to do over a pipe, it sends back what it measured."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Final

from inferd.cli.benchmark.load import RunningLoad
from inferd.cli.benchmark.plan import Level, Plan

Command = tuple[Plan, Level] | None
"""A level to start, or ``None`` to stop the one that runs."""

_TICK_SECONDS: Final = 0.1


def main(pipe: Connection) -> None:
    """Run levels until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    with contextlib.suppress(EOFError, BrokenPipeError), _runner() as runner:
        runner.run(_serve(pipe))


def _runner() -> "asyncio.Runner":
    if sys.platform == "win32":
        return asyncio.Runner()
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _serve(pipe: Connection) -> None:
    commands: asyncio.Queue[Command | EOFError] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            commands.put_nowait(pipe.recv())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            commands.put_nowait(EOFError())

    loop.add_reader(pipe.fileno(), read)
    # libuv makes what it polls non-blocking, and half of a long message would end the process.
    os.set_blocking(pipe.fileno(), True)
    while True:
        command = await commands.get()
        if isinstance(command, EOFError):
            return
        if command is not None:
            await _run(pipe, RunningLoad(*command), commands)
            gc.collect()


async def _run(
    pipe: Connection, load: RunningLoad, commands: "asyncio.Queue[Command | EOFError]"
) -> None:
    """Run one level, telling ten times a second what was measured."""
    stopper = asyncio.ensure_future(_stop(load, commands))
    try:
        await load.start()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(load.finished.wait(), _TICK_SECONDS)
            sample = load.take()
            sample.last = load.finished.is_set()
            pipe.send(sample)
            if sample.last:
                return
    finally:
        load.close()
        stopper.cancel()


async def _stop(load: RunningLoad, commands: "asyncio.Queue[Command | EOFError]") -> None:
    """Stop the level at the next command; go on with the end of the pipe afterwards."""
    command = await commands.get()
    if isinstance(command, EOFError):
        commands.put_nowait(command)
    load.stop()
