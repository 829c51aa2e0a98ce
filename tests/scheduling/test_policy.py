"""What a config's batching fields become."""

import pytest

from inferd._generated.inference import (
    ModelConfig,
    ModelDynamicBatching,
    ModelQueuePolicy,
    ModelQueuePolicyTimeoutAction,
)
from inferd.scheduling.policy import PLAIN, UNLIMITED, BatchPolicy, PriorityPolicy, QueuePolicy


def test_a_model_that_does_not_batch_takes_one_row():
    """Without max_batch_size an execution has one request."""
    assert BatchPolicy.from_config(ModelConfig(max_batch_size=0)) == BatchPolicy(1, False)


def test_without_dynamic_batching_requests_are_not_combined():
    """max_batch_size alone lets one request carry rows, and nothing more."""
    policy = BatchPolicy.from_config(ModelConfig(max_batch_size=8))

    assert (policy.max_rows, policy.combines) == (8, False)


def test_dynamic_batching_combines_with_its_delay_and_sizes():
    """The delay is read in microseconds and kept in nanoseconds."""
    dynamic = ModelDynamicBatching(preferred_batch_size=[2, 4], max_queue_delay_microseconds=100)
    policy = BatchPolicy.from_config(ModelConfig(max_batch_size=8, dynamic_batching=dynamic))

    assert policy == BatchPolicy(8, True, 100_000, frozenset({2, 4}))


def test_dynamic_batching_of_a_model_that_does_not_batch_has_no_effect():
    """There is no batch dimension to combine along."""
    config = ModelConfig(max_batch_size=0, dynamic_batching=ModelDynamicBatching())

    assert not BatchPolicy.from_config(config).combines


class TestQueuePolicy:
    """Limits and timeouts of one level."""

    def test_every_field_is_read(self):
        """Microseconds become nanoseconds."""
        config = ModelQueuePolicy(
            timeout_action=ModelQueuePolicyTimeoutAction.DELAY,
            default_timeout_microseconds=7,
            allow_timeout_override=True,
            max_queue_size=3,
        )

        assert QueuePolicy.from_config(config) == QueuePolicy(3, 7_000, True, True)
        assert QueuePolicy.from_config(ModelQueuePolicy()) == UNLIMITED

    @pytest.mark.parametrize(
        ("default_us", "own_us", "allowed", "expected_us"),
        [
            (0, 0, True, 0),
            (0, 5, True, 5),
            (0, 5, False, 0),
            (5, 0, True, 5),
            (5, 4, True, 4),
            (5, 5, True, 5),
            (5, 6, True, 5),
            (5, 4, False, 5),
        ],
    )
    def test_a_requests_own_timeout_counts_when_allowed_and_shorter(
        self, default_us, own_us, allowed, expected_us
    ):
        """A model without a timeout takes any, where it allows them."""
        policy = QueuePolicy(timeout_ns=default_us * 1000, allow_override=allowed)

        assert policy.timeout_for(own_us) == expected_us * 1000
        assert policy.has_timeouts == (default_us > 0 or allowed)


class TestPriorityPolicy:
    """The levels of a model."""

    def test_without_levels_the_default_policy_holds_for_all(self):
        """Priorities mean nothing then."""
        dynamic = ModelDynamicBatching(
            default_queue_policy=ModelQueuePolicy(max_queue_size=4),
            priority_queue_policy={1: ModelQueuePolicy(max_queue_size=1)},
        )
        policy = PriorityPolicy.from_config(dynamic)

        assert [policy.level_of(priority) for priority in (0, 1, 2)] == [1, 1, 1]
        assert policy.of(1) == QueuePolicy(max_size=4)
        assert not policy.is_plain

    def test_levels_have_the_default_policy_or_their_own(self):
        """A policy of its own replaces the default wholly."""
        dynamic = ModelDynamicBatching(
            priority_levels=2,
            default_priority_level=2,
            default_queue_policy=ModelQueuePolicy(max_queue_size=4),
            priority_queue_policy={1: ModelQueuePolicy(default_timeout_microseconds=1)},
        )
        policy = PriorityPolicy.from_config(dynamic)

        assert [policy.level_of(priority) for priority in (0, 1, 2, 3)] == [2, 1, 2, 2]
        assert [PriorityPolicy(3).level_of(priority) for priority in (2, 3, 4)] == [2, 3, 1]
        assert policy.of(1) == QueuePolicy(timeout_ns=1000)
        assert policy.of(2) == QueuePolicy(max_size=4)
        assert policy.has_timeouts

    def test_a_queue_without_limits_is_plain(self):
        """One level with an empty policy is no different from none."""
        dynamic = ModelDynamicBatching(
            priority_levels=1, default_priority_level=1, default_queue_policy=ModelQueuePolicy()
        )

        assert PriorityPolicy.from_config(dynamic).is_plain
        assert not PriorityPolicy(levels=2).is_plain
        assert not PLAIN.has_timeouts


def test_a_model_that_does_not_batch_keeps_its_queue_policy():
    """Its requests wait too, one execution each."""
    dynamic = ModelDynamicBatching(default_queue_policy=ModelQueuePolicy(max_queue_size=1))
    policy = BatchPolicy.from_config(ModelConfig(max_batch_size=0, dynamic_batching=dynamic))

    assert not policy.combines
    assert policy.priorities.of(1).max_size == 1


def test_the_order_is_preserved_when_asked():
    """And only then."""
    for asked in (False, True):
        dynamic = ModelDynamicBatching(preserve_ordering=asked)
        config = ModelConfig(max_batch_size=2, dynamic_batching=dynamic)

        assert BatchPolicy.from_config(config).preserves_order == asked
