"""
One model version that can answer requests.

It ties together what the loader built; it decides nothing.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from inferd._generated.inference import ModelConfig
from inferd.backend import Model
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature
from inferd.scheduling.holds import Holds
from inferd.scheduling.replies import ReplySource
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.snapshot import SchedulerSnapshot
from inferd.scheduling.statistics import ModelStatistics


def is_decoupled(config: ModelConfig) -> bool:
    """Return whether the requests of a model have any number of responses."""
    policy = config.model_transaction_policy
    return policy is not None and policy.decoupled


_GENERATIONS = itertools.count(1)


class Scheduling(Protocol):
    """What a scheduler offers: how to be answered, how to end it, a count and a look inside."""

    @property
    def inflight(self) -> int:
        """Requests accepted and not yet answered."""

    def snapshot(self) -> SchedulerSnapshot:
        """Return what it looks like now."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a checked request."""

    def stream(self, request: InferRequest) -> ReplySource:
        """Answer a checked request of a decoupled model with any number of replies."""

    async def drain(self) -> None:
        """Refuse new requests and wait for the accepted ones."""

    async def close(self) -> None:
        """Drain, then free the instances."""


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """
    A version that is ready.

    Attributes:
        name: The model's name.
        version: The version number.
        config: The completed config.
        signature: The compiled inputs and outputs.
        scheduler: Answers requests.
        statistics: What it has done so far.
        labels: Output name -> class labels, for outputs that have a label file.
        model: The backend's object; ``None`` for an ensemble.
        timeout_is_deadline: Whether a request's ``timeout`` is its deadline, too.
        holds: Who needs it a while longer: requests of ensembles.
        decoupled: Whether its requests have any number of responses.
        direct: The scheduler, if a request may be left with it and a future for its answer;
            ``None`` if requests have to be awaited.
        generation: Which load it is of; no two of a process are the same.
    """

    name: str
    version: int
    config: ModelConfig
    signature: Signature
    scheduler: Scheduling
    statistics: ModelStatistics
    labels: Mapping[str, Sequence[str]]
    model: Model | None
    timeout_is_deadline: bool = False
    holds: Holds = field(default_factory=Holds)
    decoupled: bool = False
    direct: Scheduler | None = None
    generation: int = field(default_factory=_GENERATIONS.__next__)

    async def close(self) -> None:
        """Answer what was accepted, here and by the ensembles that hold it; free everything."""
        await self.holds.released()
        await self.scheduler.close()
        if self.model is not None:
            await asyncio.to_thread(self.model.close)
