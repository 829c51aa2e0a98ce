"""
What a model config says about batching, as numbers the batcher needs.

It knows no clock; times are nanoseconds.
"""

from dataclasses import dataclass

from inferd._generated.inference import ModelConfig


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """
    How requests may be put together.

    Attributes:
        max_rows: Rows one execution takes at most. 1 for a model that does not batch.
        combines: Whether several requests may share an execution.
        max_queue_delay_ns: How long the oldest request may wait for others; 0 does not wait.
        preferred_rows: Batch sizes worth dispatching before the delay is over.
    """

    max_rows: int = 1
    combines: bool = False
    max_queue_delay_ns: int = 0
    preferred_rows: frozenset[int] = frozenset()

    @classmethod
    def from_config(cls, config: ModelConfig) -> "BatchPolicy":
        """Read the policy of a validated config."""
        rows = max(1, config.max_batch_size)
        dynamic = config.dynamic_batching
        if dynamic is None or config.max_batch_size < 1:
            return cls(max_rows=rows)
        return cls(
            max_rows=rows,
            combines=True,
            max_queue_delay_ns=dynamic.max_queue_delay_microseconds * 1000,
            preferred_rows=frozenset(dynamic.preferred_batch_size),
        )
