"""
Executes the steps of one request to an ensemble, once or once per response of a decoupled step.

Which step can start is the plan's decision; this module asks the models. The responses of a
decoupled step go on through the steps behind it beside each other, and come out in order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from inferd.errors import InferdError, ModelNotReady
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature
from inferd.protocol.tensors import Tensor
from inferd.scheduling.ensemble import EnsemblePlan, EnsembleRun, Step
from inferd.scheduling.replies import ROOM, Reply, ReplySource

Emit = Callable[[Reply], Awaitable[None]]
"""Takes a reply; waits while the client has not taken the ones before it."""

RESPONSES_IN_FLIGHT: Final = 16
"""Responses of a decoupled step that are on their way through the steps behind it."""


class Model(Protocol):
    """The model of a step."""

    @property
    def signature(self) -> Signature:
        """What it takes and returns."""

    @property
    def decoupled(self) -> bool:
        """Whether its requests have any number of responses."""


class Answering(Protocol):
    """What answers the requests of a step."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a checked request."""

    def stream(self, request: InferRequest) -> ReplySource:
        """Answer a checked request of a decoupled model."""


class HeldModels(Protocol):
    """The models of one request, held until it is answered."""

    @property
    def models(self) -> Sequence[Model]:
        """The model of each step."""

    def answering(self, step: Step) -> Answering:
        """Return what answers the requests of a step."""


class EnsembleExecution:
    """
    The steps of one request, executed.

    Args:
        request: The ensemble's request.
        run: How far it is.
        held: The models to ask.
        in_steps: Step -> how many requests are in it; kept up to date.
    """

    __slots__ = ("_held", "_in_steps", "_request", "_run")

    def __init__(
        self, request: InferRequest, run: EnsembleRun, held: HeldModels, in_steps: list[int]
    ) -> None:
        self._in_steps = in_steps
        self._request = request
        self._run = run
        self._held = held

    async def all(self, first: Sequence[Step], *, chain: bool) -> None:
        """Execute the steps and what follows them; the first failure cancels the others."""
        if chain:
            for step in first:
                await self._follow(step, None)
            return
        async with _FirstError() as group:
            for step in first:
                group.create_task(self._follow(step, group))

    async def _follow(self, step: Step, group: asyncio.TaskGroup | None) -> None:
        """Execute a step, then the ones it lets start: one here, the others beside it."""
        ready = [step]
        while ready:
            if group is not None:
                for other in ready[1:]:
                    group.create_task(self._follow(other, group))
            try:
                ready = await self._execute(ready[0])
            except InferdError as error:
                raise _of_step(ready[0], error) from error

    async def _execute(self, step: Step) -> list[Step]:
        index, in_steps = step.index, self._in_steps
        model = self._held.models[index]
        if model.decoupled:
            raise ModelNotReady(f"model '{step.model_name}' was loaded again and is decoupled now")
        request = self._request_of(step, model.signature)
        in_steps[index] += 1
        try:
            response = await self._held.answering(step).infer(request)
        finally:
            in_steps[index] -= 1
        rows = request.batch_size if model.signature.batches else 0
        return self._run.complete(step, response.outputs, rows)

    def _request_of(self, step: Step, signature: Signature) -> InferRequest:
        """Return the checked request of a step that can start."""
        outer = self._request
        request = InferRequest(
            step.model_name,
            self._run.take_inputs(step, signature),
            model_version=step.model_version,
            id=outer.id,
            outputs=step.requested,
            parameters=outer.parameters,
            sequence_id=outer.sequence_id,
            sequence_start=outer.sequence_start,
            sequence_end=outer.sequence_end,
            priority=outer.priority,
            timeout_us=outer.timeout_us,
            received_ns=time.monotonic_ns(),
            deadline_ns=outer.deadline_ns,
        )
        signature.check(request)
        return request


def _of_step(step: Step, error: InferdError) -> InferdError:
    """Return the error with the step named behind what clients look for in its text."""
    return type(error)(f"{error.message} (step '{step.model_name}')")


class _Level(EnsembleExecution):
    """
    The steps up to the next decoupled one, of which there is one at most.

    Attributes:
        opened: The decoupled step that was asked, its replies and the rows of its request.
    """

    __slots__ = ("opened",)

    def __init__(
        self, request: InferRequest, run: EnsembleRun, held: HeldModels, in_steps: list[int]
    ) -> None:
        super().__init__(request, run, held, in_steps)
        self.opened: tuple[Step, ReplySource, int] | None = None

    async def _execute(self, step: Step) -> list[Step]:
        model = self._held.models[step.index]
        if not model.decoupled:
            return await super()._execute(step)
        request = self._request_of(step, model.signature)
        rows = request.batch_size if model.signature.batches else 0
        self.opened = step, self._held.answering(step).stream(request), rows
        self._in_steps[step.index] += 1
        return []

    def close(self) -> None:
        """Want no more replies of the decoupled step."""
        if self.opened is not None:
            step, replies, _ = self.opened
            self._in_steps[step.index] -= 1
            replies.close()


class StreamedExecution:
    """
    One request to an ensemble with decoupled models.

    Args:
        plan: The ensemble's plan.
        version: The ensemble's version, for the responses.
        request: The checked request.
        held: The models to ask.
        in_steps: Step -> how many requests are in it; kept up to date.
    """

    __slots__ = ("_held", "_in_steps", "_plan", "_request", "_version")

    def __init__(
        self,
        plan: EnsemblePlan,
        version: str,
        request: InferRequest,
        held: HeldModels,
        in_steps: list[int],
    ) -> None:
        self._in_steps = in_steps
        self._plan = plan
        self._version = version
        self._request = request
        self._held = held

    async def run(self, emit: Emit) -> None:
        """
        Emit the responses in the order of the decoupled step's.

        Raises:
            InferdError: A step failed; what it had not emitted is not emitted any more.
        """
        run = EnsembleRun(self._plan, self._request)
        await self._flow(run, run.start(), emit)

    async def _flow(self, run: EnsembleRun, ready: Sequence[Step], emit: Emit) -> None:
        level = _Level(self._request, run, self._held, self._in_steps)
        try:
            await level.all(ready, chain=False)
            if level.opened is None:
                await emit(Reply(self._response(run), final=False))
            else:
                await self._branch(run, *level.opened, emit)
        finally:
            level.close()

    def _response(self, run: EnsembleRun) -> InferResponse:
        return InferResponse(self._plan.name, self._version, run.outputs(), id=self._request.id)

    async def _branch(
        self, run: EnsembleRun, step: Step, replies: ReplySource, rows: int, emit: Emit
    ) -> None:
        """Take each response of a decoupled step on from there."""
        room = asyncio.Semaphore(self._plan.max_in_flight or RESPONSES_IN_FLIGHT)
        before: asyncio.Task[None] | None = None
        async with _FirstError() as group:
            final = False
            while not final:
                await room.acquire()
                answer, final = await replies.receive()
                if isinstance(answer, InferdError):
                    if before is not None:
                        await asyncio.wait([before])
                    raise _of_step(step, answer)
                if answer is None or not answer.outputs:
                    room.release()
                    continue
                before = group.create_task(
                    self._follow(run, step, answer.outputs, rows, _InTurn(before, emit))
                )
                before.add_done_callback(lambda _: room.release())

    async def _follow(
        self, run: EnsembleRun, step: Step, outputs: Sequence[Tensor], rows: int, turn: "_InTurn"
    ) -> None:
        branch, ready = run.fork(step, outputs, rows)
        await self._flow(branch, ready, turn)
        # One that had nothing to emit ends in its turn, too: the next one waits for it alone.
        await turn.come()


class _InTurn:
    """
    Emits after another task has ended.

    Args:
        before: That task.
        emit: Takes the replies.
    """

    __slots__ = ("_before", "_emit")

    def __init__(self, before: "asyncio.Task[None] | None", emit: Emit) -> None:
        self._before = before
        self._emit = emit

    async def come(self) -> None:
        """Wait until the other task has ended."""
        if self._before is not None:
            await asyncio.wait([self._before])
            self._before = None

    async def __call__(self, reply: Reply) -> None:
        await self.come()
        await self._emit(reply)


class _FirstError:
    """A task group that raises the first error itself, without a group around it."""

    __slots__ = ("_group",)

    async def __aenter__(self) -> asyncio.TaskGroup:
        self._group = asyncio.TaskGroup()
        return await self._group.__aenter__()

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await self._group.__aexit__(*raised)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None


class EnsembleReplies:
    """
    The replies to one request, made by a task of their own.

    Args:
        make: Makes them: emits the replies, the final one last.

    Attributes:
        task: The task.
    """

    __slots__ = ("_closed", "_replies", "task")

    def __init__(self, make: Callable[[Emit], Coroutine[Any, Any, InferdError | None]]) -> None:
        self._replies: asyncio.Queue[Reply] = asyncio.Queue(ROOM)
        self._closed = False
        self.task = asyncio.get_running_loop().create_task(make(self._emit))

    async def _emit(self, reply: Reply) -> None:
        # A task that is cancelled in the moment a step fails sees the failure only, and would
        # wait for ever for room to tell it.
        if self._closed:
            raise asyncio.CancelledError
        await self._replies.put(reply)

    async def receive(self) -> Reply:
        """Return the next reply; not to be called after the final one."""
        return await self._replies.get()

    def close(self) -> None:
        """Take the request back unless it is over."""
        self._closed = True
        self.task.cancel()
