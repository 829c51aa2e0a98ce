"""
Which sequences are alive, where each runs, and which wait for a place.

A sequence is pinned to one lane (one instance) from its START to its END, so that its
requests execute in order and a stateful instance sees all of them. What a lane executes
next is decided by its strategy: ``sequence_slots`` or ``sequence_oldest``. Nothing here
executes, reads a clock or knows an event loop.
"""

from collections import OrderedDict, deque
from collections.abc import Container, Sequence
from typing import Final, Generic

from inferd._generated.inference import ModelSequenceBatching
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import Idle, WaitUntil
from inferd.scheduling.sequence_rows import E, Execute, Key, Lane, LiveSequence, Row

DEFAULT_IDLE_NS: Final = 1_000_000_000
"""``max_sequence_idle_microseconds`` when the config states none (Triton's default)."""

EXPIRED: Final = "timeout of the corresponding sequence has been expired"
"""What the requests of a sequence are answered that waited too long for a place."""


class SequenceTable(Generic[E]):
    """
    The live sequences of one model version.

    A sequence has a place on a lane, or waits in the backlog for one. It goes when its
    END has executed or was taken back, or when its client let it idle for longer than
    ``idle_ns``. Every entry leaves exactly once: in an :class:`Execute`, through
    :meth:`discard` or through :meth:`expire`.

    Args:
        model_name: For messages.
        lanes: One per instance.
        idle_ns: Nanoseconds without a request after which a sequence is forgotten.
        iterative: Whether requests may come without an id: each is a sequence, and may be
            executed any number of times.
    """

    __slots__ = (
        "_backlog",
        "_idle_ns",
        "_lanes",
        "_last_id",
        "_live",
        "_model_name",
        "_stopping",
        "iterative",
        "queued",
    )

    def __init__(
        self,
        model_name: str,
        lanes: Sequence[Lane[E]],
        idle_ns: int = DEFAULT_IDLE_NS,
        *,
        iterative: bool = False,
    ) -> None:
        self.iterative = iterative
        self._last_id = 0
        self._model_name = model_name
        self._lanes = lanes
        self._idle_ns = idle_ns
        # In the order they were last heard of.
        self._live: OrderedDict[Key, LiveSequence[E]] = OrderedDict()
        self._backlog: deque[LiveSequence[E]] = deque()
        self._stopping = False
        self.queued = 0

    def __len__(self) -> int:
        return len(self._live)

    @property
    def backlog(self) -> int:
        """How many sequences wait for a place."""
        return len(self._backlog)

    @property
    def lanes_used(self) -> list[int]:
        """How many sequences have a place on each lane."""
        return [lane.used for lane in self._lanes]

    def oldest_ns(self) -> int | None:
        """Return when the oldest request that waits was added, or ``None`` when none does."""
        waiting = (
            entry.enqueued_ns
            for sequence in self._live.values()
            for entry in sequence.queue
            if not entry.discarded
        )
        return min(waiting, default=None)

    @property
    def expires_ns(self) -> int | None:
        """No sequence expires before this; ``None`` when none is alive."""
        sequence = next(iter(self._live.values()), None)
        return None if sequence is None else sequence.last_ns + self._idle_ns + 1

    def admit(self, entry: E, now_ns: int) -> bool:
        """
        Queue a request; call :meth:`expire` first.

        Returns:
            Whether it starts a sequence over whose END never came; what was queued of
            the old one executes first.

        Raises:
            InvalidRequest: It has no correlation id, is not of batch size 1, or its
                sequence has not started.
        """
        request = entry.request
        self._check(request)
        sequence = self._live.get(request.sequence_id)
        continues = sequence is not None and not sequence.complete
        if not (continues or request.sequence_start):
            raise InvalidRequest(
                f"inference request for sequence {request.sequence_id} to model "
                f"'{self._model_name}' must specify the START flag on the first request of "
                "the sequence"
            )
        if sequence is None:
            sequence = self._begin(request.sequence_id, now_ns)
        sequence.queue.append(entry)
        sequence.complete = sequence.ends_with(entry)
        self.queued += 1
        self._touch(sequence, now_ns)
        if len(sequence.queue) == 1:
            self._wake(sequence)
        return continues and request.sequence_start

    def has_work(self, lane: int) -> bool:
        """Whether a lane has a request to execute, now or when its delay is over."""
        return self._lanes[lane].has_work

    def decide(self, lane: int, now_ns: int, ample_ns: int = 0) -> Execute[E] | WaitUntil | Idle:
        """
        Return what a free lane does at ``now_ns``; end an execution with :meth:`finish`.

        Args:
            lane: The lane.
            now_ns: The time.
            ample_ns: An execution begun so long before a deadline meets it.
        """
        decision = self._lanes[lane].decide(now_ns, ample_ns)
        if isinstance(decision, Execute):
            self.queued -= sum(row.ready for row in decision.rows)
        return decision

    def finish(self, rows: Sequence[Row[E]], now_ns: int, rescheduled: Container[int] = ()) -> None:
        """
        Note that an execution is over, whatever came of it.

        Args:
            rows: What was executed.
            now_ns: When it was over.
            rescheduled: Which rows are to be executed again: their entries are queued again.
        """
        for index, row in enumerate(rows):
            if not row.ready:
                continue
            sequence = row.sequence
            sequence.running = False
            self._touch(sequence, now_ns)
            if index in rescheduled:
                self._repeat(sequence, row.entry, now_ns)
            elif sequence.ends_with(row.entry):
                self._end(sequence)
            else:
                self._advance(sequence)
        self._promote()

    def new_id(self) -> int:
        """Return a correlation id no live sequence has."""
        self._last_id += 1
        while self._last_id in self._live or str(self._last_id) in self._live:
            self._last_id += 1
        return self._last_id

    def discard(self, entry: E) -> bool:
        """
        Take an entry back that was not executed; ``False`` when it has left before.

        A sequence whose END is taken back ends all the same.
        """
        if entry.discarded:
            return False
        entry.discarded = True
        self.queued -= 1
        sequence = self._live[entry.request.sequence_id]
        if not sequence.running:
            if sequence.lane is not None:
                sequence.lane.sleep(sequence)
            self._advance(sequence)
            self._promote()
        return True

    def expire(self, now_ns: int) -> list[E]:
        """
        Forget the sequences that have been idle for too long.

        Returns:
            The requests of those that never got a place; they are not executed.
        """
        lost: list[E] = []
        while self._live:
            sequence = next(iter(self._live.values()))
            if now_ns - sequence.last_ns <= self._idle_ns:
                break
            if sequence.owes_nothing:
                self._touch(sequence, now_ns)
                continue
            lost.extend(entry for entry in sequence.queue if not entry.discarded)
            self._forget(sequence)
        for entry in lost:
            entry.discarded = True
        self.queued -= len(lost)
        self._promote()
        return lost

    def stop(self) -> None:
        """Expect no more requests: what is queued needs no place kept for what would follow."""
        self._stopping = True
        for sequence in list(self._live.values()):
            if sequence.lane is not None and not sequence.owes_nothing:
                self._forget(sequence)
        self._promote()

    def _check(self, request: InferRequest) -> None:
        if not request.sequence_id:
            raise InvalidRequest(
                f"inference request to model '{self._model_name}' must specify a non-zero or "
                "non-empty correlation ID"
            )
        if request.batch_size > 1:
            raise InvalidRequest(
                f"inference request to model '{self._model_name}' must specify batch-size 1 due "
                "to requirements of sequence batcher"
            )

    def _repeat(self, sequence: LiveSequence[E], entry: E, now_ns: int) -> None:
        """Queue an entry before the others of its sequence, but behind other sequences."""
        entry.again = True
        entry.enqueued_ns = now_ns
        sequence.queue.appendleft(entry)
        self.queued += 1
        self._wake(sequence)

    def _begin(self, key: Key, now_ns: int) -> LiveSequence[E]:
        sequence = self._live[key] = LiveSequence[E](key, now_ns)
        self._backlog.append(sequence)
        self._promote()
        return sequence

    def _touch(self, sequence: LiveSequence[E], now_ns: int) -> None:
        sequence.last_ns = now_ns
        self._live.move_to_end(sequence.key)

    def _wake(self, sequence: LiveSequence[E]) -> None:
        if sequence.lane is not None and sequence.queue and not sequence.running:
            sequence.lane.wake(sequence)

    def _advance(self, sequence: LiveSequence[E]) -> None:
        """Go on with the next request that was not taken back."""
        if sequence.drop_discarded():
            self._end(sequence)
        elif self._stopping and sequence.lane is not None and not sequence.owes_nothing:
            self._forget(sequence)
        else:
            self._wake(sequence)

    def _end(self, sequence: LiveSequence[E]) -> None:
        """Free the place; requests of a new sequence with the same id wait for another."""
        sequence.restart()
        while sequence.drop_discarded():
            sequence.restart()
        if sequence.complete and not sequence.queue:
            self._forget(sequence)
            return
        self._unplace(sequence)
        self._backlog.append(sequence)

    def _forget(self, sequence: LiveSequence[E]) -> None:
        self._unplace(sequence)
        del self._live[sequence.key]

    def _unplace(self, sequence: LiveSequence[E]) -> None:
        if sequence.lane is None:
            self._backlog.remove(sequence)
        else:
            sequence.lane.sleep(sequence)
            sequence.lane.leave(sequence)
            sequence.lane = None

    def _promote(self) -> None:
        """Give free places to the sequences that have waited longest."""
        while self._backlog:
            lane = max(self._lanes, key=lambda one: one.room)
            if not lane.room:
                break
            sequence = self._backlog.popleft()
            sequence.lane = lane
            lane.enter(sequence)
            self._wake(sequence)


def idle_ns(config: ModelSequenceBatching) -> int:
    """Return how long a sequence of the config may be idle, in nanoseconds."""
    return config.max_sequence_idle_microseconds * 1000 or DEFAULT_IDLE_NS
