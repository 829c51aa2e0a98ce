"""
Decides which instances may execute when they share resources that are scarce.

An instance that needs resources executes only while it holds all of them, and takes all
at once: nobody waits with something in hand, so there is no deadlock. Those that wait are
in one order. A waiter keeps what it once lacked from those behind it, so that it gets it
in the end; what it never lacked is theirs to use, so that a scarce resource stops nobody
who does not need it.

The order is executions times priority, as in Triton: an instance of priority 2 gets half
the chances of one of priority 1. Who was idle, or is new, starts level with the last one
that got the same resource, instead of being owed everything it did not ask for.

Source: Triton's rate limiter (resources, ``execution_count`` and priorities). Triton lets
the first in its order stop everybody; that is not repeated here.
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

GLOBAL: Final = -1
"""The device of a resource that all devices share."""


class Resource(NamedTuple):
    """A resource of one device, or of all of them together."""

    name: str
    device: int = GLOBAL


@dataclass(frozen=True, slots=True)
class Limit:
    """
    How much the operator says there is of a resource.

    Attributes:
        name: The resource's name.
        count: How much there is.
        device: The device; ``None`` is each device. A global resource has the greatest
            count stated under its name, whatever the device.
    """

    name: str
    count: int
    device: int | None = None


class Claim:
    """
    What one instance needs, and its place among those that wait.

    Attributes:
        needs: Resource -> how much of it an execution takes; at least 1.
        priority: What one execution costs; 0 counts as 1.
        weight: Executions times priority, or the level it last started from.
        arrival: When it first asked for its next execution; ``None`` when it did not.
        lacked: What it was short of while it waited.
        waiting: Whether it waits.
    """

    __slots__ = ("arrival", "lacked", "needs", "priority", "waiting", "weight")

    def __init__(self, needs: Mapping[Resource, int], priority: int = 1) -> None:
        self.needs = dict(needs)
        self.priority = max(1, priority)
        self.weight = 0
        self.arrival: int | None = None
        self.lacked: set[Resource] = set()
        self.waiting = False

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the order; the least is first."""
        assert self.arrival is not None
        return self.weight, self.arrival


class RateLimiter:
    """
    The resources of a server and who waits for them.

    A claim is registered, then any number of times acquired and either released (it was
    executed) or put back (it was not), and unregistered.

    Args:
        limits: How much there is; of a resource not named here there is as much as the
            registered claim that needs most of it.
    """

    __slots__ = ("_arrivals", "_capacity", "_claims", "_held", "_level", "_limits", "_waiting")

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = tuple(limits)
        self._claims: set[Claim] = set()
        self._capacity: dict[Resource, int] = {}
        self._held: dict[Resource, int] = {}
        self._level: dict[Resource, int] = {}
        self._waiting: list[Claim] = []
        self._arrivals = count()

    @property
    def waiting(self) -> Sequence[Claim]:
        """Who waits, in order."""
        return self._waiting

    def register(self, claim: Claim) -> None:
        """Let a claim be acquired; :func:`objection` has found nothing wrong with it."""
        self._claims.add(claim)
        self._measure()

    def unregister(self, claim: Claim) -> None:
        """Forget a claim that holds nothing."""
        self.withdraw(claim)
        self._claims.discard(claim)
        self._measure()

    def acquire(self, claim: Claim) -> bool:
        """Take what a claim needs, or have it wait in its place; ``False`` when it waits."""
        if not claim.waiting:
            self._enter(claim)
        if claim not in self.admitted():
            return False
        self._leave(claim)
        for resource, amount in claim.needs.items():
            self._held[resource] += amount
            self._level[resource] = max(self._level[resource], claim.weight)
        return True

    def release(self, claim: Claim) -> None:
        """Give back what an execution took, and count it."""
        self.put_back(claim)
        claim.weight += claim.priority
        claim.arrival = None

    def put_back(self, claim: Claim) -> None:
        """Give back what was taken and not used; the claim keeps its place for later."""
        for resource, amount in claim.needs.items():
            self._held[resource] -= amount

    def withdraw(self, claim: Claim) -> None:
        """Have a claim wait no longer; one that does not wait is left alone."""
        if claim.waiting:
            self._leave(claim)
            claim.arrival = None

    def admitted(self) -> list[Claim]:
        """
        Return who may ask now, in order: the first of them gets all it needs.

        So do the others, unless what goes to one behind is then lacked by one before. What
        each of those that may not is short of is kept for it from here on.
        """
        free = {key: most - self._held[key] for key, most in self._capacity.items()}
        admitted: list[Claim] = []
        for claim in self._waiting:
            short = [key for key, amount in claim.needs.items() if amount > free[key]]
            claim.lacked.update(short)
            if not short:
                admitted.append(claim)
            for key in claim.lacked if short else claim.needs:
                free[key] -= claim.needs[key]
        return admitted

    def _enter(self, claim: Claim) -> None:
        if claim.arrival is None:
            claim.arrival = next(self._arrivals)
            level = max((self._level[key] for key in claim.needs), default=0)
            # Its resources share one level from now on: were they apart, whoever needs only
            # the lower one would stay ahead of it until that has caught up.
            self._level.update(dict.fromkeys(claim.needs, level))
            claim.weight = max(claim.weight, level)
        claim.waiting = True
        insort(self._waiting, claim, key=lambda one: one.place)

    def _leave(self, claim: Claim) -> None:
        self._waiting.remove(claim)
        claim.waiting = False
        claim.lacked.clear()

    def _measure(self) -> None:
        """Find out how much there is of what the registered claims need."""
        needed: dict[Resource, int] = {}
        for claim in self._claims:
            for key, amount in claim.needs.items():
                needed[key] = max(amount, needed.get(key, 0))
        self._capacity = {
            key: most if (stated := limit_of(key, self._limits)) is None else stated
            for key, most in needed.items()
        }
        self._held = {key: self._held.get(key, 0) for key in needed}
        self._level = {key: self._level.get(key, 0) for key in needed}


def limit_of(resource: Resource, limits: Iterable[Limit]) -> int | None:
    """Return how much the operator says there is of a resource; ``None`` when nothing is said."""
    return max(
        (
            limit.count
            for limit in limits
            if limit.name == resource.name
            and (resource.device == GLOBAL or limit.device in (None, resource.device))
        ),
        default=None,
    )


def objection(
    claims: Iterable[Claim], others: Iterable[Claim], limits: Sequence[Limit]
) -> str | None:
    """
    Return why claims cannot be registered beside others, or ``None``.

    The texts are Triton's, whose tests look for them.
    """
    needs = [need for claim in claims for need in claim.needs.items()]
    known = [key for claim in others for key in claim.needs] + [key for key, _ in needs]
    for resource, amount in needs:
        if any(
            key.name == resource.name and (key.device == GLOBAL) != (resource.device == GLOBAL)
            for key in known
        ):
            return (
                f'Resource "{resource.name}" is present as both global and device-specific '
                "resource in the model configuration."
            )
        limit = limit_of(resource, limits)
        if limit is not None and limit < amount:
            return (
                f'Resource count for "{resource.name}" is limited to {limit} which will prevent '
                "scheduling of one or more model instances, the minimum required count is "
                f"{amount}"
            )
    return None
