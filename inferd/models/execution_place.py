"""The model-config parameter that says where a model's executions run."""

from typing import Final, get_args

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models.loaded import is_decoupled
from inferd.scheduling.inline import ExecutionPlace

PARAMETER: Final = "inferd_execution"

_PLACES: Final[dict[str, ExecutionPlace]] = {place: place for place in get_args(ExecutionPlace)}


def execution_place(config: ModelConfig) -> ExecutionPlace:
    """
    Return where executions run: ``auto``, ``inline`` (on the event loop) or ``thread``.

    Those of a decoupled model run on threads, because a response may have to wait for its
    client.

    Raises:
        LoadFailed: The config says something else, or ``inline`` of a decoupled model.
    """
    parameter = config.parameters.get(PARAMETER)
    text = "auto" if parameter is None else parameter.string_value
    place = _PLACES.get(text)
    if place is None:
        raise LoadFailed(
            f"parameter '{PARAMETER}' of model '{config.name}' must be one of "
            f"{', '.join(_PLACES)}, got '{text}'"
        )
    if not is_decoupled(config):
        return place
    if place == "inline":
        raise LoadFailed(
            f"parameter '{PARAMETER}' of model '{config.name}' cannot be 'inline', because the "
            "model is decoupled"
        )
    return "thread"
