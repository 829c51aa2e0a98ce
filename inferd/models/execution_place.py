"""The model-config parameter that says where a model's executions run."""

from typing import Final, get_args

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.scheduling.inline import ExecutionPlace

PARAMETER: Final = "inferd_execution"

_PLACES: Final[dict[str, ExecutionPlace]] = {place: place for place in get_args(ExecutionPlace)}


def execution_place(config: ModelConfig) -> ExecutionPlace:
    """
    Return where executions run: ``auto``, ``inline`` (on the event loop) or ``thread``.

    Raises:
        LoadFailed: The config says something else.
    """
    parameter = config.parameters.get(PARAMETER)
    text = "auto" if parameter is None else parameter.string_value
    place = _PLACES.get(text)
    if place is None:
        raise LoadFailed(
            f"parameter '{PARAMETER}' of model '{config.name}' must be one of "
            f"{', '.join(_PLACES)}, got '{text}'"
        )
    return place
