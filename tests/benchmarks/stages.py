"""
What the stages of a request cost, each alone, in a process that does nothing else.

    python tests/benchmarks/stages.py REPOSITORY SECONDS [CASE=BATCH]...

The same objects as in the server, over the same models, take the same requests; no socket
is involved. Prints one JSON object: case -> microseconds per request of each stage.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from cases import CASES, Case
from framing_cost import PIECE, GrpcFraming, HttpFraming
from messages import Request, encode

from inferd.frontends.http import inference
from inferd.frontends.http.inference import Inference
from inferd.protocol.infer_codec import CHOSEN
from inferd.protocol.infer_json import DecodedRequest, EncodedResponse
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.testing.server import InMemoryServer

_START_SECONDS: Final = 30.0
_LARGEST: Final = 1 << 30
_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Stages:
    """
    Microseconds per request.

    Attributes:
        framing: HTTP, both ways.
        decode: From the message to a request with tensors.
        schedule: From checking the request to its settled future, without the execution.
        execute: Gathering the batch, calling the backend, and scattering its outputs.
        encode: From the response to the message.
    """

    framing: float
    decode: float
    schedule: float
    execute: float
    encode: float


def measure_stages(
    repository: Path, batches: Mapping[str, int], seconds: float
) -> dict[str, Stages]:
    """
    Measure in a new process.

    Args:
        repository: The models.
        batches: The name of each case -> how many requests share an execution.
        seconds: How long each stage is measured.
    """
    wanted = [f"{name}={size}" for name, size in batches.items()]
    ran = subprocess.run(
        [sys.executable, __file__, str(repository), str(seconds), *wanted],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_START_SECONDS + 8 * (seconds + 1) * len(wanted),
        check=True,
    )
    return {name: Stages(**found) for name, found in json.loads(ran.stdout).items()}


async def measure(repository: str, seconds: float, batches: Mapping[str, int]) -> dict[str, Stages]:
    """Return the stages of each case."""
    async with InMemoryServer(repository) as server:
        return {
            case.name: await _Probe(server, case, seconds).stages(
                arrivals(case, batches[case.name])
            )
            for case in CASES
            if case.name in batches
        }


class Answers:
    """
    Gets the answers to several requests in the place of a future for each.

    Args:
        missing: How many requests there are.

    Attributes:
        complete: Is set when all are answered.
    """

    __slots__ = ("_missing", "complete")

    def __init__(self, missing: int) -> None:
        self._missing = missing
        self.complete = asyncio.Event()

    def done(self) -> bool:
        """Whether nothing is waited for."""
        return not self._missing

    def set_result(self, result: InferResponse, /) -> None:
        """Count an answer."""
        self._missing -= 1
        if not self._missing:
            self.complete.set()

    def set_exception(self, exception: BaseException, /) -> None:
        """Fail: a request of the benchmark has to be answered."""
        raise exception

    def cancel(self) -> None:
        """Fail: nobody gives these requests up."""
        raise RuntimeError("a request was cancelled")


def arrivals(case: Case, batch: int) -> int:
    """
    Return how many requests come in one turn of the event loop.

    A model that batches put them together. Of the others, a connection's requests come at
    once when they are short.
    """
    if batch > 1:
        return batch
    return case.streams if case.both_ways < PIECE else 1


class _Probe:
    """Measures one case."""

    def __init__(self, server: InMemoryServer, case: Case, seconds: float) -> None:
        self._dataplane = server.dataplane
        self._case = case
        self._seconds = seconds
        self._request: Request = encode(case.protocol, case.model)

    async def stages(self, together: int) -> Stages:
        if self._case.over_http:
            return await self._over_http(together)
        return await self._over_grpc(together)

    async def _over_grpc(self, together: int) -> Stages:
        body = self._request.body[5:]

        def decode() -> InferRequest:
            return CHOSEN.to_request(CHOSEN.decode_request(body))

        response = await self._dataplane.infer(decode())
        answer = CHOSEN.encode_response(response)
        framing = GrpcFraming(self._request, self._case.streams)
        schedule, execute = await self._scheduled(decode, together)
        return Stages(
            self._median(lambda: framing.turn_us(answer)),
            self._median(lambda: _timed_us(lambda: None, lambda _: decode())),
            schedule,
            execute,
            self._median(lambda: _timed_us(lambda: unread(response), CHOSEN.encode_response)),
        )

    async def _over_http(self, together: int) -> Stages:
        reader = Inference(self._dataplane, _LARGEST)
        framing = HttpFraming(self._request)
        head, body, is_prompt = framing.receive()

        async def decode(_: None = None) -> DecodedRequest:
            return await reader.decode(body, head.json_length, head.route)

        def decode_now(_: None = None) -> DecodedRequest:
            return reader.decode_now(body, head.json_length, head.route)

        async def write(response: InferResponse) -> EncodedResponse:
            return await inference.encode(response, decoded)

        decoded = await decode()
        response = await self._dataplane.infer(decoded.request)
        answer = await write(response)
        schedule, execute = await self._scheduled(lambda: again(decoded.request), together)
        if not is_prompt:
            return Stages(
                self._median(lambda: framing.turn_us(answer)),
                await self._spent_us(lambda: None, decode),
                schedule,
                execute,
                await self._spent_us(lambda: unread(response), write),
            )
        return Stages(
            self._median(lambda: framing.turn_us(answer)),
            self._median(lambda: _timed_us(lambda: None, decode_now)),
            schedule,
            execute,
            self._median(
                lambda: _timed_us(
                    lambda: unread(response), lambda one: inference.encode_now(one, decoded)
                )
            ),
        )

    async def _spent_us(
        self, prepare: Callable[[], Any], call: Callable[[Any], Awaitable[object]]
    ) -> float:
        """Return the median processor time of a call; part of it may run in a thread."""
        found: list[float] = []
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end or len(found) < 3:
            prepared = prepare()
            begun_ns = time.process_time_ns()
            await call(prepared)
            found.append((time.process_time_ns() - begun_ns) / 1000)
        return statistics.median(found)

    async def _scheduled(
        self, make: Callable[[], InferRequest], together: int
    ) -> tuple[float, float]:
        """Return what a turn's requests cost apart from their execution, and in it."""
        apart: list[float] = []
        executing: list[float] = []
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end or len(apart) < _AT_ONCE:
            requests = [make() for _ in range(together)]
            before_ns = self._executing_ns()
            begun_ns = time.perf_counter_ns()
            await self._answer(requests)
            spent_ns = time.perf_counter_ns() - begun_ns
            executed_ns = self._executing_ns() - before_ns
            apart.append((spent_ns - executed_ns) / 1000 / together)
            executing.append(executed_ns / 1000 / together)
        return statistics.median(apart), statistics.median(executing)

    async def _answer(self, requests: Sequence[InferRequest]) -> None:
        """Have the requests of a turn answered as the frontend does."""
        answers = Answers(len(requests))
        for request in requests:
            started = self._dataplane.start(request, answers)
            assert started is not None
        started[0].end_turn()
        await answers.complete.wait()

    def _executing_ns(self) -> int:
        (found,) = self._dataplane.model_statistics(self._case.model, "")
        return sum(
            part.ns
            for batch in found.batch_stats
            for part in (batch.compute_input, batch.compute_infer, batch.compute_output)
            if part is not None
        )

    def _median(self, once_us: Callable[[], float]) -> float:
        """Return the median over some time of what a measurement returns."""
        found: list[float] = []
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end or len(found) < 3:
            found.append(once_us())
        return statistics.median(found)


def again(request: InferRequest) -> InferRequest:
    """Return the same request, not yet checked; its tensors are new, too."""
    tensors = {
        name: Tensor(name, one.datatype, one.shape, raw=one.raw())
        for name, one in request.inputs.items()
    }
    return InferRequest(request.model_name, tensors, model_version=request.model_version)


def unread(response: InferResponse) -> InferResponse:
    """Return a response as a backend's outputs make it: nothing of it is encoded yet."""
    tensors = [
        Tensor(one.name, one.datatype, one.shape, array=one.array()) for one in response.outputs
    ]
    return InferResponse(response.model_name, response.model_version, tensors)


def _timed_us(prepare: Callable[[], Any], call: Callable[[Any], object]) -> float:
    prepared = [prepare() for _ in range(_AT_ONCE)]
    begun_ns = time.perf_counter_ns()
    for one in prepared:
        call(one)
    return (time.perf_counter_ns() - begun_ns) / 1000 / _AT_ONCE


def main() -> None:
    """Measure as the command line says."""
    repository, seconds, *wanted = sys.argv[1:]
    batches = {name: int(size) for name, _, size in (one.rpartition("=") for one in wanted)}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(repository, float(seconds), batches))
    json.dump({name: asdict(stages) for name, stages in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
