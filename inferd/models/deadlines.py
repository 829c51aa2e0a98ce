"""Whether a model takes the request parameter ``timeout`` for the request's deadline."""

from typing import Final

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed

PARAMETER: Final = "inferd_deadline_from_timeout"
"""The parameter of a model config that says so; Triton only knows a queue timeout."""


def timeout_is_deadline(config: ModelConfig) -> bool:
    """
    Read the parameter.

    Raises:
        LoadFailed: It is neither ``true`` nor ``false``.
    """
    found = config.parameters.get(PARAMETER)
    value = "false" if found is None else found.string_value
    if value not in ("true", "false"):
        raise LoadFailed(
            f"parameter '{PARAMETER}' must be 'true' or 'false', got '{value}', "
            f"specified for {config.name}"
        )
    return value == "true"
