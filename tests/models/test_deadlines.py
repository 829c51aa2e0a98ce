"""Whether a model takes the request parameter ``timeout`` for a deadline."""

import pytest

from inferd._generated.inference import ModelConfig, ModelParameter
from inferd.errors import LoadFailed
from inferd.models.deadlines import PARAMETER, timeout_is_deadline


def config(**parameters):
    """Return a config with these parameters."""
    return ModelConfig(
        name="m",
        parameters={key: ModelParameter(string_value=one) for key, one in parameters.items()},
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({}, False), ({PARAMETER: "true"}, True), ({PARAMETER: "false"}, False)],
)
def test_it_is_one_only_where_the_config_says_so(parameters, expected):
    """Triton knows nothing of it."""
    assert timeout_is_deadline(config(**parameters)) is expected


@pytest.mark.parametrize("value", ["", "yes", "True", "1"])
def test_anything_else_is_refused(value):
    """The text names the model, the parameter, the expected and the actual."""
    with pytest.raises(LoadFailed) as raised:
        timeout_is_deadline(config(**{PARAMETER: value}))

    assert raised.value.message == (
        f"parameter 'inferd_deadline_from_timeout' must be 'true' or 'false', got '{value}', "
        "specified for m"
    )
