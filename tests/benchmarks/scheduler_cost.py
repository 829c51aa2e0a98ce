"""
Measures what the schedulers themselves cost per request, in time and in memory.

    python tests/benchmarks/scheduler_cost.py [--quick] [--rounds N]

A request is queued, dispatched in a batch of 16 and settled; gathering, executing and
scattering do nothing. Executions run inline on uvloop. Requests arrive 16 in a turn of the
loop, so that a batch empties the queue, or 1024, so that the queue is long. The cases take
turns in every round, so that a slow moment of the machine meets all of them. Memory is
counted by tracemalloc while requests wait: everything but their tensors. Exits with 1 when a
limit is exceeded.
"""

import argparse
import asyncio
import gc
import platform
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import uvloop

from inferd.backend import Batch, Instance
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.pending import AnswerFuture
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

BATCH: Final = 16
ARRIVALS: Final = (16, 1024)
"""Requests that arrive in one turn of the loop."""

WAITING: Final = 4096
"""Requests that wait while memory is counted."""

LIMIT_US: Final = 6.0
LIMIT_BYTES: Final = 2048

Times = dict[tuple[str, int], list[float]]
"""Case and arrivals -> microseconds per request in each round."""

Sizes = dict[str, float]
"""Case -> bytes per queued request."""

_TENSOR: Final = Tensor("X", "FP32", (1, 4), raw=bytes(16))
_HOUR_US: Final = 3_600_000_000
_LIMITED: Final = QueuePolicy(max_size=1 << 20, timeout_ns=2 * _HOUR_US * 1000, allow_override=True)


class NullInstance(Instance):
    """Returns at once, or waits for ``gate`` when there is one."""

    gate: threading.Event | None = None

    def execute(self, batch: Batch) -> Sequence[object]:
        """Return nothing."""
        if self.gate is not None:
            self.gate.wait()
        return ()


class NullAssembler:
    """Stands in for both assemblers; every request gets the same answer."""

    is_uniform = True

    def __init__(self, requests: Sequence[InferRequest] = ()) -> None:
        self.requests = requests
        self.assembler = self.controls = self
        self._answer = InferResponse("m", "1", ())

    def check(self, request: InferRequest) -> None:
        """Accept any sequence."""

    def bind(self, rows: Sequence[object]) -> "NullAssembler":
        """Return what gathers these rows."""
        return NullAssembler([row.entry.request for row in rows])

    def shape_key(self, request: InferRequest) -> None:
        """Let every request fit with every other one."""

    def gather(self, requests: Sequence[InferRequest]) -> Batch:
        """Return a batch without tensors."""
        return Batch({}, (), len(requests), requests)

    def scatter(self, batch: Batch, outputs: Sequence[object]) -> list[InferResponse]:
        """Return the one answer as often as it takes."""
        return [self._answer] * len(batch.requests)


class Queues(Protocol):
    """A scheduler."""

    def submit(self, request: InferRequest, future: AnswerFuture) -> object:
        """Queue a request."""


@dataclass(frozen=True)
class Case:
    """
    What is measured.

    Attributes:
        name: What the table calls it.
        make: Makes a scheduler over an instance.
        request: Makes the request of a number.
        begin: Makes the first request of a number, for sequences.
    """

    name: str
    make: Callable[[NullInstance], Queues]
    request: Callable[[int], InferRequest]
    begin: Callable[[int], InferRequest] | None = None


def batching(policy: BatchPolicy) -> Callable[[NullInstance], Scheduler]:
    """Return what makes a scheduler with a policy."""
    return lambda instance: Scheduler(
        policy, NullAssembler(), [instance], ModelStatistics(), name="m"
    )


def sequences(lane: Callable[[], object]) -> Callable[[NullInstance], SequenceScheduler]:
    """Return what makes a scheduler of sequences with a strategy."""
    return lambda instance: SequenceScheduler(
        SequenceTable("m", [lane()], _HOUR_US * 1000),
        NullAssembler(),
        [instance],
        ModelStatistics(),
        name="m",
    )


def request(number: int = 0, **more: object) -> InferRequest:
    """Return a request; its tensor is shared with all others."""
    return InferRequest("m", {"X": _TENSOR}, **more)


def scattered(number: int) -> int:
    """Return 0 to a million, in no order."""
    return number * 2_654_435_761 % 1_000_003


def deadline(number: int) -> InferRequest:
    """Return a request with a deadline of its own, about an hour from now."""
    made = request()
    made.deadline_ns = time.monotonic_ns() + (_HOUR_US + scattered(number)) * 1000
    return made


_STEP: Final = (
    lambda number: request(sequence_id=number % BATCH + 1),
    lambda number: request(sequence_id=number + 1, sequence_start=True),
)


def cases() -> Iterator[Case]:
    """Yield every case that this version of the schedulers has."""
    levels = PriorityPolicy(3, 2)
    yield Case("plain", batching(BatchPolicy(BATCH, True)), request)
    yield Case(
        "preserve_ordering", batching(BatchPolicy(BATCH, True, preserves_order=True)), request
    )
    yield Case(
        "3 priority levels",
        batching(BatchPolicy(BATCH, True, priorities=levels)),
        lambda number: request(priority=number % 3 + 1),
    )
    yield Case(
        "3 levels, queue limit, a timeout on every request",
        batching(BatchPolicy(BATCH, True, priorities=PriorityPolicy(3, 2, _LIMITED))),
        lambda number: request(priority=number % 3 + 1, timeout_us=_HOUR_US + scattered(number)),
    )
    if "deadline_ns" in InferRequest.__slots__:
        yield Case("a deadline on every request", batching(BatchPolicy(BATCH, True)), deadline)
    yield Case("sequences, direct", sequences(lambda: DirectLane(BATCH)), *_STEP)
    oldest = OldestPolicy(BATCH, BATCH)
    yield Case("sequences, oldest", sequences(lambda: OldestLane(oldest)), *_STEP)


async def time_us(case: Case, arrivals: int, total: int) -> float:
    """Return microseconds per request from submitting it to its answer."""
    scheduler = case.make(NullInstance())
    if case.begin is not None:
        await answered(scheduler, [case.begin(number) for number in range(BATCH)])
    while not scheduler.runs_inline:
        await answered(scheduler, [case.request(number) for number in range(BATCH)])
    turns = total // arrivals
    requests = [[case.request(one) for one in range(arrivals)] for _ in range(turns)]
    gc.collect()
    begun = time.perf_counter_ns()
    for arrived in requests:
        await answered(scheduler, arrived)
    elapsed_ns = time.perf_counter_ns() - begun
    await scheduler.close()
    return elapsed_ns / 1000 / arrivals / turns


async def answered(scheduler: Queues, requests: Sequence[InferRequest]) -> None:
    """Submit the requests in one turn of the loop and wait for their answers."""
    for one in [submitted(scheduler, made) for made in requests]:
        await one


def submitted(scheduler: Queues, request: InferRequest) -> "asyncio.Future[InferResponse]":
    """Submit a request and return the future of its answer."""
    future: asyncio.Future[InferResponse] = asyncio.get_running_loop().create_future()
    scheduler.submit(request, future)
    return future


async def waiting_bytes(case: Case) -> float:
    """Return bytes per request that waits: the request, its future and its place in the queue."""
    instance = NullInstance()
    instance.gate = threading.Event()
    scheduler = case.make(instance)
    first = case.request if case.begin is None else case.begin
    executing = [submitted(scheduler, first(number)) for number in range(BATCH)]
    await asyncio.sleep(0)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    waiting = [submitted(scheduler, case.request(number)) for number in range(WAITING)]
    await asyncio.sleep(0)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    instance.gate.set()
    for one in executing + waiting:
        await one
    await scheduler.close()
    return (after - before) / WAITING


def measure(rounds: int, total: int) -> tuple[Times, Sizes]:
    """Return the times of each case in each round, and the bytes of each case."""
    times: Times = {(case.name, arrivals): [] for case in cases() for arrivals in ARRIVALS}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for number in range(rounds + 1):
            for case in cases():
                for arrivals in ARRIVALS:
                    elapsed_us = runner.run(time_us(case, arrivals, total))
                    if number:
                        # The first round warms the interpreter up.
                        times[case.name, arrivals].append(elapsed_us)
        sizes = {case.name: runner.run(waiting_bytes(case)) for case in cases()}
    return times, sizes


def render(times: Times, sizes: Sizes) -> str:
    """Return a Markdown table; times are medians with the fastest and the slowest round."""
    rounds = len(next(iter(times.values())))
    rows = "\n".join(
        f"| {name} | {' | '.join(_spread(times[name, one]) for one in ARRIVALS)} | {size:,.0f} |"
        for name, size in sizes.items()
    )
    heads = " | ".join(f"µs per request, {one} arrive at once" for one in ARRIVALS)
    return f"""\
Python {platform.python_version()}, uvloop {uvloop.__version__}; batches of {BATCH};
{rounds} rounds: median (min to max).

| | {heads} | bytes per queued request |
| --- | {"---: | " * len(ARRIVALS)}---: |
{rows}
"""


def _spread(took: list[float]) -> str:
    return f"{statistics.median(took):.2f} ({min(took):.2f} to {max(took):.2f})"


def main() -> int:
    """Measure as the command line says; 0 when everything is within the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    quick: bool = options.quick
    times, sizes = measure(3 if quick else options.rounds, 2048 if quick else 8192)
    print(render(times, sizes))
    exceeded = [name for (name, _), took in times.items() if statistics.median(took) > LIMIT_US]
    exceeded += [name for name, size in sizes.items() if size > LIMIT_BYTES]
    for name in exceeded:
        print(f"more than {LIMIT_US} µs or {LIMIT_BYTES} bytes: {name}", file=sys.stderr)
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
