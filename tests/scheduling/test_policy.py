"""What a config's batching fields become."""

from inferd._generated.inference import ModelConfig, ModelDynamicBatching
from inferd.scheduling.policy import BatchPolicy


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
