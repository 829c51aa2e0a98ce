"""
Instances that may have to wait for resources which other models use, too.

A pool asks the server's rate limiter before it lets a seat be taken. When it has to wait,
its scheduler is called once the resources are there, and takes the seat then.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence

from inferd.backend import Instance
from inferd.errors import LoadFailed
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.instances import InstancePool, Seat
from inferd.scheduling.rate_limiter import Claim, Limit, RateLimiter, objection
from inferd.scheduling.statistics import ModelStatistics


class SharedResources:
    """
    The rate limiter of a server on its event loop.

    What instances need is declared on loader threads, before they exist; all else happens
    on the event loop.

    Args:
        limits: How much there is, where the operator says so.
    """

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = tuple(limits)
        self._declared: set[Claim] = set()
        self._lock = threading.Lock()
        self._wakers: dict[Claim, Callable[[], None]] = {}
        self._waking = False
        self.limiter = RateLimiter(self._limits)

    def declare(self, claims: Sequence[Claim], model_name: str) -> "Permits":
        """
        Note what the instances of a version will need.

        Args:
            claims: One per instance.
            model_name: For messages.

        Raises:
            LoadFailed: There is less than that, or another model shares a resource of the
                name among other devices.
        """
        with self._lock:
            reason = objection(claims, self._declared, self._limits)
            if reason is not None:
                raise LoadFailed(f"{reason} (model '{model_name}')")
            self._declared.update(claims)
        return Permits(self, claims)

    def retract(self, claims: Iterable[Claim]) -> None:
        """Forget what was declared of instances that are gone or never came to be."""
        with self._lock:
            self._declared.difference_update(claims)

    def register(self, claims: Iterable[Claim], wake: Callable[[], None]) -> None:
        """Let instances wait for resources; ``wake`` is called when theirs are there."""
        for claim in claims:
            self._wakers[claim] = wake
            self.limiter.register(claim)
        self.changed()

    def unregister(self, claims: Iterable[Claim]) -> None:
        """Forget instances that hold nothing."""
        for claim in claims:
            self.limiter.unregister(claim)
            del self._wakers[claim]
        self.changed()

    def changed(self) -> None:
        """Have those called, soon, who wait for what may be there now."""
        if self._waking or not self.limiter.waiting:
            return
        self._waking = True
        loop = asyncio.get_running_loop()
        # Two turns: who has just given resources back may have more to execute and, having
        # noted it in the next turn, may be first in the order.
        loop.call_soon(loop.call_soon, self._wake)

    def _wake(self) -> None:
        self._waking = False
        for claim in self.limiter.admitted():
            if claim.waiting:
                self._wakers[claim]()


class Permits:
    """
    What the instances of one version need of a server's resources.

    Args:
        shared: The server's resources.
        claims: One per instance, in the instances' order.
    """

    __slots__ = ("claims", "shared")

    def __init__(self, shared: SharedResources, claims: Sequence[Claim]) -> None:
        self.shared = shared
        self.claims = tuple(claims)

    def retract(self) -> None:
        """Forget them: the instances are gone or never came to be. Callable from any thread."""
        self.shared.retract(self.claims)


class LimitedPool(InstancePool):
    """
    Instances of which some need resources.

    Args:
        instances: The instances; closed by :meth:`close`.
        statistics: Where executions are counted.
        name: Name prefix of their threads.
        permits: What they need.
        wake: Called when a seat that waited for resources can be taken.
        inline: Decides whether executions run on the event loop; by their time if not given.
    """

    __slots__ = ("_alike", "_permits", "_shared")

    def __init__(
        self,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
        permits: Permits,
        wake: Callable[[], None],
        inline: InlinePolicy | None = None,
    ) -> None:
        super().__init__(instances, statistics, name=name, inline=inline)
        self._permits = permits
        self._shared = permits.shared
        alike: dict[frozenset[object], list[Seat]] = {}
        for seat in self.seats:
            alike.setdefault(frozenset(self._claim(seat).needs.items()), []).append(seat)
        self._alike = list(alike.values())
        self._shared.register(permits.claims, wake)

    def take(self, seat: Seat | None = None) -> Seat | None:
        """
        Take a seat whose resources are there; ``None`` when there is none now.

        Seats that lack resources wait for them: the given one, or one of each kind of free
        seats, since one is enough for what is to be executed next.
        """
        for one in [seat] if seat is not None else self._candidates():
            if not one.busy and self._shared.limiter.acquire(self._claim(one)):
                self._note_waiting()
                return super().take(one)
        self._note_waiting()
        return None

    def give_back(self, seat: Seat) -> None:
        """Note that a seat has executed; others may use its resources."""
        self._shared.limiter.release(self._claim(seat))
        super().give_back(seat)
        self._shared.changed()

    def put_back(self, seat: Seat) -> None:
        """Note that a seat has not executed; it keeps its place in the order for later."""
        self._shared.limiter.put_back(self._claim(seat))
        super().give_back(seat)
        self._shared.changed()

    def withdraw(self, seat: Seat | None = None) -> None:
        """Have the given seat, or all of them, wait for resources no longer."""
        for one in self.seats if seat is None else [seat]:
            self._shared.limiter.withdraw(self._claim(one))
        self._note_waiting()
        self._shared.changed()

    async def close(self) -> None:
        """Free the instances, none of which executes, and what they were promised."""
        self._shared.unregister(self._permits.claims)
        self._permits.retract()
        await super().close()

    def _claim(self, seat: Seat) -> Claim:
        return self._permits.claims[seat.index]

    def _candidates(self) -> list[Seat]:
        """Return a free seat of each kind: the one that waits, or was favoured least."""
        found: list[Seat] = []
        for seats in self._alike:
            free = [seat for seat in seats if not seat.busy]
            if free:
                found.append(min(free, key=self._precedence))
        return sorted(found, key=self._precedence)

    def _precedence(self, seat: Seat) -> tuple[bool, int, int]:
        claim = self._claim(seat)
        return not claim.waiting, claim.weight, seat.index

    def _note_waiting(self) -> None:
        self.waits = any(claim.waiting for claim in self._permits.claims)


def make_pool(
    instances: Sequence[Instance],
    statistics: ModelStatistics,
    *,
    name: str,
    permits: Permits | None,
    wake: Callable[[], None],
    inline: InlinePolicy | None = None,
) -> InstancePool:
    """Return the instances of a version, limited only where they need resources."""
    if permits is None:
        return InstancePool(instances, statistics, name=name, inline=inline)
    return LimitedPool(instances, statistics, name=name, permits=permits, wake=wake, inline=inline)
