"""
The asyncio shell of an ensemble: it asks the models of the steps that the plan says can start.

An ensemble has no instances of its own. Its models are looked up once per request and held
until the request is answered, those of ensembles within the ensemble too, so that none of
them is freed under it.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from inferd.errors import InferdError, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature
from inferd.scheduling.ensemble import EnsemblePlan, EnsembleRun, Step
from inferd.scheduling.ensemble_execution import (
    Emit,
    EnsembleExecution,
    EnsembleReplies,
    StreamedExecution,
)
from inferd.scheduling.execution import failure_of
from inferd.scheduling.holds import Holds
from inferd.scheduling.replies import Reply, ReplySource
from inferd.scheduling.settlement import failure_reason
from inferd.scheduling.snapshot import EnsembleStep, SchedulerSnapshot
from inferd.scheduling.statistics import ModelStatistics


class StepScheduler(Protocol):
    """What answers the requests of a step."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a checked request."""

    def stream(self, request: InferRequest) -> ReplySource:
        """Answer a checked request of a decoupled model."""


class StepModel(Protocol):
    """A model version that serves."""

    @property
    def signature(self) -> Signature:
        """What it takes and returns."""

    @property
    def scheduler(self) -> StepScheduler:
        """What answers."""

    @property
    def holds(self) -> Holds:
        """Who keeps it alive."""

    @property
    def decoupled(self) -> bool:
        """Whether its requests have any number of responses."""


FindModel = Callable[[str, str], StepModel]
"""Model name and version as a client writes them -> what answers now, or an InferdError."""


class EnsembleScheduler:
    """
    Answers the requests of one ensemble version.

    Args:
        plan: The ensemble's steps.
        version: The ensemble's version.
        find: Looks up the model of a step when a request comes.
        statistics: Where requests are counted; the models count their own executions.

    Attributes:
        in_steps: How many requests are in each step now.
    """

    def __init__(
        self, plan: EnsemblePlan, version: int, find: FindModel, statistics: ModelStatistics
    ) -> None:
        self._plan = plan
        self._version = str(version)
        self._find = find
        self._statistics = statistics
        self._accepting = True
        self._holds = Holds()
        self.in_steps = [0] * len(plan.steps)

    @property
    def inflight(self) -> int:
        """Requests accepted and not yet answered."""
        return self._holds.count

    def snapshot(self) -> SchedulerSnapshot:
        """Return how many requests are under way, and in which steps."""
        steps = [
            EnsembleStep(step.model_name, requests)
            for step, requests in zip(self._plan.steps, self.in_steps, strict=True)
        ]
        return SchedulerSnapshot(self.inflight, steps=steps)

    def reserve(self) -> "Reservation":
        """
        Look up and hold the models of one request.

        Raises:
            InferdError: One of them does not serve; the text names the ensemble.
        """
        try:
            return Reservation(self, self._plan, self._find)
        except InferdError as error:
            raise self._named(error) from error

    async def infer(
        self, request: InferRequest, reservation: "Reservation | None" = None
    ) -> InferResponse:
        """
        Answer a checked request.

        Cancelling the caller cancels every step that runs.

        Args:
            request: The request.
            reservation: The models to ask, when someone else holds and releases them.

        Raises:
            ShuttingDown: The ensemble no longer accepts requests.
            InferdError: A step failed; the class is the step's and the text names the ensemble.
        """
        self._check_accepting()
        start_ns = time.monotonic_ns()
        self._statistics.last_inference_ms = time.time_ns() // 1_000_000
        self._holds.acquire()
        try:
            response = await self._answer(request, reservation)
        except BaseException as error:
            self._record_failure(request, start_ns, error)
            if isinstance(error, InferdError):
                raise self._named(error) from error
            raise
        finally:
            self._holds.release()
        self._record_success(request, start_ns)
        return response

    def stream(
        self, request: InferRequest, reservation: "Reservation | None" = None
    ) -> "EnsembleReplies":
        """
        Answer a checked request of an ensemble with decoupled models.

        Closing what is returned cancels every step that runs.

        Args:
            request: The request.
            reservation: The models to ask, when someone else holds and releases them.

        Raises:
            ShuttingDown: The ensemble no longer accepts requests.
            InferdError: A model does not serve.
        """
        self._check_accepting()
        self._statistics.last_inference_ms = time.time_ns() // 1_000_000
        start_ns = time.monotonic_ns()
        try:
            held = reservation if reservation is not None else self.reserve()
        except InferdError as error:
            self._record_failure(request, start_ns, error)
            raise
        self._holds.acquire()
        execution = StreamedExecution(self._plan, self._version, request, held, self.in_steps)
        replies = EnsembleReplies(partial(self._stream, execution))

        def over(task: "asyncio.Task[InferdError | None]") -> None:
            self._holds.release()
            if reservation is None:
                held.release()
            self._record_stream(request, start_ns, task)

        replies.task.add_done_callback(over)
        return replies

    async def _stream(self, execution: StreamedExecution, emit: Emit) -> InferdError | None:
        """Emit the replies to one request; return the error that ended it, if any."""
        try:
            await execution.run(emit)
        except Exception as error:
            failure = failure_of(error)
            await emit(Reply(self._named(failure), final=True))
            return failure
        await emit(Reply(None, final=True))
        return None

    def _record_stream(
        self, request: InferRequest, start_ns: int, task: "asyncio.Task[InferdError | None]"
    ) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
        if error is None:
            self._record_success(request, start_ns)
        else:
            self._record_failure(request, start_ns, error)

    def _check_accepting(self) -> None:
        if not self._accepting:
            raise ShuttingDown(
                "Server is stopping, scheduler for model has stopped accepting new inference "
                "requests"
            )

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        self._accepting = False
        await self._holds.released()

    async def close(self) -> None:
        """Drain; there is nothing else to free."""
        await self.drain()

    def _named(self, error: InferdError) -> InferdError:
        return type(error)(f"in ensemble '{self._plan.name}', {error.message}")

    async def _answer(
        self, request: InferRequest, reservation: "Reservation | None"
    ) -> InferResponse:
        plan = self._plan
        held = reservation if reservation is not None else Reservation(self, plan, self._find)
        try:
            run = EnsembleRun(plan, request)
            execution = EnsembleExecution(request, run, held, self.in_steps)
            await execution.all(run.start(), chain=plan.is_chain)
            return InferResponse(plan.name, self._version, run.outputs(), id=request.id)
        finally:
            if reservation is None:
                held.release()

    def _record_failure(self, request: InferRequest, start_ns: int, error: BaseException) -> None:
        took_ns = time.monotonic_ns() - (request.received_ns or start_ns)
        self._statistics.record_failure(failure_reason(error), took_ns)

    def _record_success(self, request: InferRequest, start_ns: int) -> None:
        end_ns = time.monotonic_ns()
        compute_ns = end_ns - start_ns
        self._statistics.record_execution(request.batch_size, 0, compute_ns, 0)
        self._statistics.record_success(
            end_ns - (request.received_ns or start_ns), 0, 0, compute_ns, 0
        )


class Reservation:
    """
    The models of one request, looked up and held.

    Args:
        scheduler: The ensemble's scheduler.
        plan: Its steps.
        find: Looks a model up.

    Attributes:
        models: The model of each step.
        nested: Step -> the models of an ensemble that is a step of this one.
    """

    __slots__ = ("_scheduler", "models", "nested")

    def __init__(self, scheduler: EnsembleScheduler, plan: EnsemblePlan, find: FindModel) -> None:
        self._scheduler = scheduler
        self.models: list[StepModel] = []
        self.nested: dict[int, Reservation] = {}
        try:
            for step in plan.steps:
                model = find(step.model_name, step.model_version)
                model.holds.acquire()
                self.models.append(model)
                inner = model.scheduler
                if isinstance(inner, EnsembleScheduler):
                    self.nested[step.index] = inner.reserve()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Hold the models no longer."""
        for model in self.models:
            model.holds.release()
        for nested in self.nested.values():
            nested.release()

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request with these models; raises as :meth:`EnsembleScheduler.infer`."""
        return await self._scheduler.infer(request, self)

    def stream(self, request: InferRequest) -> "EnsembleReplies":
        """Answer a request with these models; raises as :meth:`EnsembleScheduler.stream`."""
        return self._scheduler.stream(request, self)

    def answering(self, step: Step) -> StepScheduler:
        """Return what answers the requests of a step."""
        return self.nested.get(step.index) or self.models[step.index].scheduler
