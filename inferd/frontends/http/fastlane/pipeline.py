"""
The inferences of one connection that run side by side, and the order of their answers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from inferd.frontends.http import inference
from inferd.frontends.http.fastlane import replies
from inferd.frontends.http.fastlane.framing import Inference
from inferd.frontends.http.fastlane.lane import Lane, failure
from inferd.frontends.http.fastlane.replies import Reply
from inferd.frontends.http.fastlane.slots import Slot
from inferd.listening.byte_ledger import LARGE_BYTES, Claim
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Buffer
from inferd.scheduling.pending import Queue

MAX_PIPELINED: Final = 32
"""The most requests of one connection in the lane at a time."""

_PIPELINED_BYTES: Final = 1 << 20
"""No further request is begun while those in the lane have bodies of so many bytes."""


class Sending(Protocol):
    """What a pipeline needs of its connection."""

    def send(self, pieces: Sequence[Buffer], *, closes: bool) -> None:
        """Write answers, and close behind them if told so; does nothing once it is closed."""


class Pipeline:
    """
    One connection's inferences.

    Args:
        lane: What answers them.
        connection: Where the answers go.
        claim: Shrinks by the bodies of large requests that were answered, if anything.

    Attributes:
        slots: Those that are not answered yet, in the order of their answers.
    """

    __slots__ = (
        "_claim",
        "_connection",
        "_flushing",
        "_lane",
        "_loop",
        "_queued",
        "_size",
        "slots",
    )

    def __init__(self, lane: Lane, connection: Sending, claim: Claim | None = None) -> None:
        self.slots: deque[Slot] = deque()
        self._claim = claim
        self._lane = lane
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._size = 0
        self._queued: Queue | None = None
        self._flushing = False

    @property
    def takes_more(self) -> bool:
        """Whether another prompt request may be begun."""
        slots = self.slots
        return not slots or (
            slots[-1].event.is_prompt
            and len(slots) < MAX_PIPELINED
            and self._size < _PIPELINED_BYTES
        )

    def begin(self, event: Inference) -> None:
        """Begin a request; one that is not prompt must be alone."""
        slot = Slot(event, self)
        self.slots.append(slot)
        self._size += len(event.body)
        drain = self._lane.drain
        if drain.begun:
            slot.reply = replies.message(503, "Server exiting")
            self._flush_soon()
            return
        drain.enter()
        slot.is_open = True
        if event.is_prompt:
            self._start(slot)
        else:
            slot.task = self._loop.create_task(self._serve(slot))

    def end_turn(self) -> None:
        """Execute at once what was just queued, if it is all that the clients wait for."""
        queue, self._queued = self._queued, None
        if queue is not None and len(self.slots) == 1 and len(self._lane.connections) == 1:
            queue.end_turn()

    def cancel(self) -> list[asyncio.Task[None]]:
        """Give the requests up, and return the tasks that end with that."""
        tasks = [slot.task for slot in self.slots if slot.task is not None]
        for slot in self.slots:
            slot.take_back()
            self._leave(slot)
        # Whoever gives up the connection gives all of it back.
        self._claim = None
        return tasks

    def answer(self, slot: Slot, response: InferResponse) -> None:
        """Take the answer of a started request."""
        assert slot.decoded is not None
        if inference.is_long(response, slot.decoded):
            slot.task = self._loop.create_task(self._write_long(slot, response))
        else:
            self._settle(slot, self._lane.answer(response, slot.decoded))

    def fail(self, slot: Slot, error: BaseException) -> None:
        """Take what went wrong with one."""
        self._settle(slot, failure(error, slot.event.head.route.name))

    def _start(self, slot: Slot) -> None:
        """Begin a prompt request, without a task where that is possible."""
        try:
            slot.decoded, started = self._lane.start(slot.event, slot)
        except Exception as error:
            slot.reply = failure(error, slot.event.head.route.name)
            self._leave(slot)
            self._flush_soon()
            return
        if started is not None:
            slot.queued(started)
            self._queued = started[0]
        else:
            slot.task = self._loop.create_task(self._serve(slot))

    async def _serve(self, slot: Slot) -> None:
        self._settle(slot, await self._lane.reply(slot.event, slot.decoded))

    async def _write_long(self, slot: Slot, response: InferResponse) -> None:
        assert slot.decoded is not None
        self._settle(slot, await self._lane.write(response, slot.event, slot.decoded))

    def _settle(self, slot: Slot, reply: Reply) -> None:
        slot.task = None
        self._leave(slot)
        if len(self.slots) == 1:
            self.slots.clear()
            if self._size > LARGE_BYTES and self._claim is not None:
                self._claim.shrink(self._size)
            self._size = 0
            closes = slot.closes or self._lane.drain.begun
            pieces = replies.pieces(reply, self._lane.tails.get(closes=closes))
            self._connection.send(pieces, closes=closes)
            return
        slot.reply = reply
        if self._lane.drain.begun:
            self._flush()
        elif self.slots[0].reply is not None:
            # Others may be ready in this turn, and one write does for all.
            self._flush_soon()

    def _leave(self, slot: Slot) -> None:
        """The server need not wait for this request any more."""
        if slot.is_open:
            slot.is_open = False
            self._lane.drain.leave()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Hand on the answers whose turn it is."""
        self._flushing = False
        pieces: list[Buffer] = []
        slots = self.slots
        ends = self._lane.drain.begun
        closes = False
        while slots and (reply := slots[0].reply) is not None:
            slot = slots.popleft()
            size = len(slot.event.body)
            self._size -= size
            if size > LARGE_BYTES and self._claim is not None:
                self._claim.shrink(size)
            closes = (slot.closes or ends) and not slots
            pieces += replies.pieces(reply, self._lane.tails.get(closes=closes))
        if pieces:
            self._connection.send(pieces, closes=closes)
