"""Configs that ask for more than the server does."""

import pytest

from inferd._generated import inference as pb
from inferd.errors import LoadFailed
from inferd.models.support import ignored_fields, refuse_unsupported


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("model_repository_agents", {"model_repository_agents": pb.ModelRepositoryAgents()}),
    ],
)
def test_what_would_give_wrong_answers_is_refused(field, fields):
    """The reason names the field and the model."""
    with pytest.raises(LoadFailed, match=f"'{field}' is not supported yet, specified for m"):
        refuse_unsupported(pb.ModelConfig(name="m", **fields))


def test_an_ordinary_config_is_accepted():
    """Sequences and batching included."""
    refuse_unsupported(pb.ModelConfig(name="m", sequence_batching=pb.ModelSequenceBatching()))
    refuse_unsupported(
        pb.ModelConfig(name="m", model_transaction_policy=pb.ModelTransactionPolicy())
    )


def test_what_only_tunes_is_named():
    """So that the log can say that it has no effect."""
    config = pb.ModelConfig(
        instance_group=[pb.ModelInstanceGroup(rate_limiter=pb.ModelRateLimiter())],
    )

    assert list(ignored_fields(config)) == ["instance_group.rate_limiter"]


def test_queue_policies_are_done():
    """Priorities, limits and timeouts are not reported."""
    dynamic = pb.ModelDynamicBatching(
        preserve_ordering=True,
        priority_levels=2,
        default_priority_level=1,
        default_queue_policy=pb.ModelQueuePolicy(max_queue_size=1),
        priority_queue_policy={1: pb.ModelQueuePolicy(default_timeout_microseconds=1)},
    )

    assert not list(ignored_fields(pb.ModelConfig(dynamic_batching=dynamic)))
