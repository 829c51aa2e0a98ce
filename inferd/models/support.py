"""
What a config may ask for that this server does not do yet.

A feature whose absence would change answers is refused at load with its field's name;
one that only tunes is reported once in the log.
"""

from collections.abc import Iterator

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed


def refuse_unsupported(config: ModelConfig) -> None:
    """
    Refuse a config whose answers this server would get wrong.

    Raises:
        LoadFailed: It asks for such a feature; the message names the field.
    """
    for field, used in (("model_repository_agents", config.model_repository_agents is not None),):
        if used:
            raise LoadFailed(f"'{field}' is not supported yet, specified for {config.name}")


def ignored_fields(config: ModelConfig) -> Iterator[str]:
    """Yield the fields of the config that have no effect yet."""
    if any(group.rate_limiter is not None for group in config.instance_group):
        yield "instance_group.rate_limiter"
