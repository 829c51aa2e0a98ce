"""Configs that ask for more than the server does."""

import pytest

from inferd._generated import inference as pb
from inferd.errors import LoadFailed
from inferd.models.support import refuse_unsupported


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
