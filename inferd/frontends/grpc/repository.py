"""
The parameters of the repository RPCs, and what they mean.

The texts are those of Triton's gRPC frontend.
"""

from collections.abc import Mapping
from typing import Final

from inferd._generated.inference import ModelRepositoryParameter
from inferd.errors import InvalidRequest, UnsupportedFeature

_FILE_PREFIX: Final = "file:"


def check_repository(repository_name: str) -> None:
    """
    Refuse the name of a repository.

    Raises:
        UnsupportedFeature: There is one.
    """
    if repository_name:
        raise UnsupportedFeature("'repository_name' specification is not supported")


def load_parameters(
    parameters: Mapping[str, ModelRepositoryParameter],
) -> tuple[str | None, dict[str, bytes]]:
    """
    Return the config and the files, by relative path, that a load request brings along.

    Raises:
        InvalidRequest: A parameter is unknown or of the wrong type.
    """
    config: str | None = None
    files: dict[str, bytes] = {}
    for key, parameter in parameters.items():
        if key == "config":
            if parameter.string_param is None:
                raise _wrong_type("load", key, "string_param")
            config = parameter.string_param
        elif key.startswith(_FILE_PREFIX):
            if parameter.bytes_param is None:
                raise _wrong_type("load", key, "bytes_param")
            files[key.removeprefix(_FILE_PREFIX)] = parameter.bytes_param
        else:
            raise InvalidRequest(f"unrecognized load parameter '{key}'.")
    return config, files


def unload_dependents(parameters: Mapping[str, ModelRepositoryParameter]) -> bool:
    """
    Return whether an unload request includes the models an ensemble is composed of.

    Raises:
        InvalidRequest: The parameter is not a boolean.
    """
    parameter = parameters.get("unload_dependents")
    if parameter is None:
        return False
    if parameter.bool_param is None:
        raise _wrong_type("unload", "unload_dependents", "bool_param")
    return parameter.bool_param


def _wrong_type(kind: str, key: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"invalid value type for {kind} parameter '{key}', expected {expected}.")
