"""
What a model config says about queueing and batching, as numbers the batcher needs.

It knows no clock; times are nanoseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from inferd._generated.inference import (
    ModelConfig,
    ModelDynamicBatching,
    ModelQueuePolicy,
    ModelQueuePolicyTimeoutAction,
)


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """
    What holds for the requests of one priority level.

    Attributes:
        max_size: Requests of the level that may wait; 0 is no limit.
        timeout_ns: How long a request may wait; 0 is for ever.
        allow_override: Whether a request may bring a shorter timeout of its own.
        delays: Whether a request that waited too long goes behind the others of its
            level; it is rejected otherwise.
    """

    max_size: int = 0
    timeout_ns: int = 0
    allow_override: bool = False
    delays: bool = False

    @classmethod
    def from_config(cls, config: ModelQueuePolicy) -> "QueuePolicy":
        """Read a queue policy of a validated config."""
        return cls(
            max_size=config.max_queue_size,
            timeout_ns=config.default_timeout_microseconds * 1000,
            allow_override=config.allow_timeout_override,
            delays=config.timeout_action == ModelQueuePolicyTimeoutAction.DELAY,
        )

    @property
    def has_timeouts(self) -> bool:
        """Whether any request under this policy can time out."""
        return bool(self.timeout_ns) or self.allow_override

    def timeout_for(self, timeout_us: int) -> int:
        """
        Return how long a request may wait, in nanoseconds; 0 is for ever.

        A timeout of its own counts when the policy allows it and it is the shorter one.

        Args:
            timeout_us: The request's timeout in microseconds; 0 when it has none.
        """
        own_ns = timeout_us * 1000 if self.allow_override else 0
        if own_ns and self.timeout_ns:
            return min(own_ns, self.timeout_ns)
        return own_ns or self.timeout_ns


UNLIMITED: Final = QueuePolicy()
"""Any number of requests wait for as long as it takes."""


@dataclass(frozen=True, slots=True)
class PriorityPolicy:
    """
    The priority levels of a model, 1 being the first served, and what holds for each.

    Attributes:
        levels: How many levels there are.
        default_level: The level of requests that name none, or one that does not exist.
        default: What holds for levels without a policy of their own.
        by_level: Level -> its own policy.
    """

    levels: int = 1
    default_level: int = 1
    default: QueuePolicy = UNLIMITED
    by_level: Mapping[int, QueuePolicy] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: ModelDynamicBatching) -> "PriorityPolicy":
        """Read the levels of a validated config; without any there is one for all requests."""
        default = config.default_queue_policy
        policy = UNLIMITED if default is None else QueuePolicy.from_config(default)
        if not config.priority_levels:
            return cls(default=policy)
        by_level = {
            level: QueuePolicy.from_config(found)
            for level, found in config.priority_queue_policy.items()
        }
        return cls(config.priority_levels, config.default_priority_level, policy, by_level)

    @property
    def is_plain(self) -> bool:
        """Whether this is a queue like any other: one level without limits."""
        return self.levels == 1 and self.of(1) == UNLIMITED

    @property
    def has_timeouts(self) -> bool:
        """Whether any request can time out."""
        return any(policy.has_timeouts for policy in (self.default, *self.by_level.values()))

    def of(self, level: int) -> QueuePolicy:
        """Return what holds for a level."""
        return self.by_level.get(level, self.default)

    def level_of(self, priority: int) -> int:
        """Return the level of a request's priority."""
        return priority if 1 <= priority <= self.levels else self.default_level


PLAIN: Final = PriorityPolicy()
"""One level without limits."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """
    How requests wait and may be put together.

    Attributes:
        max_rows: Rows one execution takes at most. 1 for a model that does not batch.
        combines: Whether several requests may share an execution.
        max_queue_delay_ns: How long the oldest request may wait for others; 0 does not wait.
        preferred_rows: Batch sizes worth dispatching before the delay is over.
        priorities: The priority levels, and the limits and timeouts of each.
        preserves_order: Whether answers are given in the order the requests came.
    """

    max_rows: int = 1
    combines: bool = False
    max_queue_delay_ns: int = 0
    preferred_rows: frozenset[int] = frozenset()
    priorities: PriorityPolicy = PLAIN
    preserves_order: bool = False

    @classmethod
    def from_config(cls, config: ModelConfig) -> "BatchPolicy":
        """Read the policy of a validated config."""
        rows = max(1, config.max_batch_size)
        dynamic = config.dynamic_batching
        if dynamic is None:
            return cls(max_rows=rows)
        return cls(
            max_rows=rows,
            combines=config.max_batch_size > 0,
            max_queue_delay_ns=dynamic.max_queue_delay_microseconds * 1000,
            preferred_rows=frozenset(dynamic.preferred_batch_size),
            priorities=PriorityPolicy.from_config(dynamic),
            preserves_order=dynamic.preserve_ordering,
        )
