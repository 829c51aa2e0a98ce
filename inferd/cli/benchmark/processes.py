"""The load processes, seen from the command: started, told a level, listened to."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from typing import Final, Self

from inferd.cli.benchmark import process
from inferd.cli.benchmark.plan import Level, Plan, parts, split
from inferd.cli.benchmark.sample import Sample
from inferd.cli.clients.client import ClientError

_END_SECONDS: Final = 2.0


class LoadProcesses:
    """
    Processes that make load together; an asynchronous context manager.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._samples: asyncio.Queue[tuple[int, Sample | None]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Start the processes."""
        context = multiprocessing.get_context("spawn")
        for index in range(self.count):
            ours, theirs = context.Pipe()
            child = context.Process(target=process.main, args=(theirs,), daemon=True)
            child.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(child)
            asyncio.get_running_loop().add_reader(ours.fileno(), self._read, index)
        return self

    async def __aexit__(self, *raised: object) -> None:
        """End the processes; they leave when their pipes close."""
        for pipe in self._pipes:
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            pipe.close()
        for child in self._processes:
            await asyncio.to_thread(child.join, _END_SECONDS)
            if child.is_alive():
                child.terminate()

    async def run(self, plan: Plan, level: Level) -> AsyncIterator[tuple[int, Sample]]:
        """
        Start a level and yield what each process measured, until all have finished.

        Yields:
            The process's index and its next sample.

        Raises:
            ClientError: A process ended.
        """
        running = parts(plan, level, self.count)
        for pipe, part in zip(self._pipes, split(level, running), strict=False):
            pipe.send((plan, part))
        while running:
            index, sample = await self._samples.get()
            if sample is None:
                raise ClientError("a load process has ended unexpectedly")
            running -= sample.last
            yield index, sample

    def stop(self) -> None:
        """Have the processes finish the level that runs."""
        for pipe in self._pipes:
            pipe.send(None)

    def _read(self, index: int) -> None:
        try:
            self._samples.put_nowait((index, self._pipes[index].recv()))
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipes[index].fileno())
            self._samples.put_nowait((index, None))
