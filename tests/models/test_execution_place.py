"""Where a config says that its executions run."""

import pytest

from inferd._generated.inference import ModelConfig, ModelParameter
from inferd.errors import LoadFailed
from inferd.models.execution_place import execution_place

CONFIG = """
backend: "identity"
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
"""


def config(text):
    """Return a config with the parameter."""
    return ModelConfig(name="m", parameters={"inferd_execution": ModelParameter(string_value=text)})


@pytest.mark.parametrize("place", ["auto", "inline", "thread"])
def test_a_place_is_taken(place):
    """The three there are; without the parameter it is as it turns out."""
    assert execution_place(config(place)) == place
    assert execution_place(ModelConfig(name="m")) == "auto"


@pytest.mark.parametrize("text", ["", "Inline", "process"])
def test_another_place_is_refused(text):
    """Model, parameter, what is expected and what is there are named."""
    with pytest.raises(LoadFailed) as caught:
        execution_place(config(text))

    assert caught.value.message == (
        "parameter 'inferd_execution' of model 'm' must be one of auto, inline, thread, "
        f"got '{text}'"
    )


SEQUENCES = "sequence_batching { }"


@pytest.mark.parametrize("more", ["", SEQUENCES])
@pytest.mark.parametrize("place", ["inline", "thread"])
async def test_a_pinned_model_stays_where_it_is(repository, registry, ask, place, more):
    """Whatever its executions take, from the first one on."""
    parameter = f'parameters {{ key: "inferd_execution" value {{ string_value: "{place}" }} }}'
    repository.add(config=CONFIG + parameter + more)
    await registry.load("m")
    loaded = registry.lookup("m", "")
    for value in range(20):
        request = ask(value)
        request.sequence_id, request.sequence_start = 1, not value
        assert loaded.statistics.inline.inline is (place == "inline")
        await loaded.scheduler.infer(request)

    assert loaded.scheduler.runs_inline is (place == "inline")


async def test_a_model_with_another_place_does_not_load(repository, registry):
    """The reason is the parameter's."""
    parameter = 'parameters { key: "inferd_execution" value { string_value: "x" } }'
    repository.add(config=CONFIG + parameter)
    with pytest.raises(LoadFailed, match="'inferd_execution' of model 'm' must be one of"):
        await registry.load("m")
