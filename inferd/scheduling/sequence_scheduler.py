"""
The asyncio shell of a sequence model: one lane per instance, each sequence on one lane.

A lane is an ordinary scheduler with one instance, so a sequence's requests execute in
the order they came.
"""

import time
from collections.abc import Sequence

from inferd.backend import Instance
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.sequences import SequenceControls, SequenceTable
from inferd.scheduling.statistics import ModelStatistics


class SequenceScheduler:
    """
    Routes the requests of sequences to the instances that hold their state.

    Args:
        table: The live sequences; it has as many lanes as there are instances.
        controls: Makes the control tensors.
        assembler: Gathers and scatters the version's tensors.
        instances: The version's instances; closed by :meth:`close`.
        statistics: Where executions and outcomes are counted.
        name: Name prefix of the instances' threads.
    """

    def __init__(
        self,
        table: SequenceTable,
        controls: SequenceControls,
        assembler: Assembler,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
    ) -> None:
        self._table = table
        self._controls = controls
        self._lanes = [
            Scheduler(BatchPolicy(), assembler, [instance], statistics, name=f"{name}_{index}")
            for index, instance in enumerate(instances)
        ]

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing."""
        return sum(lane.inflight for lane in self._lanes)

    @property
    def runs_inline(self) -> bool:
        """Whether the model is fast enough to run on the event loop."""
        return any(lane.runs_inline for lane in self._lanes)

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer a checked request of a sequence.

        Raises:
            InvalidRequest: The request does not fit its sequence.
            ShuttingDown: The scheduler no longer accepts requests.
            InferdError: Whatever the execution came to.
        """
        self._controls.add_to(request)
        lane = self._table.admit(request, time.monotonic_ns())
        try:
            return await self._lanes[lane].infer(request)
        finally:
            self._table.touch(request.sequence_id, time.monotonic_ns())

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        for lane in self._lanes:
            await lane.drain()

    async def close(self) -> None:
        """Drain, then free the instances."""
        for lane in self._lanes:
            await lane.close()
