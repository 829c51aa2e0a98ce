"""Tests of the process that makes load."""

import asyncio
import multiprocessing

from inferd.cli.benchmark import process
from inferd.cli.benchmark.plan import Level, Plan

GET = b"GET / HTTP/1.1\r\n\r\n"


async def test_levels_run_until_they_are_stopped_and_the_pipe_ends_the_process(port):
    """A command to stop ends a level, whose last sample says so; a closed pipe ends the process."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=process.main, args=(theirs,))
    child.start()
    theirs.close()
    ours.send((Plan("http", "127.0.0.1", port, (GET,)), Level(1)))
    first = await asyncio.to_thread(ours.recv)
    ours.send(None)
    while not (sample := await asyncio.to_thread(ours.recv)).last:
        pass
    ours.close()
    await asyncio.to_thread(child.join)
    assert (first.last, sample.last, child.exitcode) == (False, True, 0)
