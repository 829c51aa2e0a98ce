"""
What a config may ask for that this server does not do yet.

A feature whose absence would change answers is refused at load with its field's name.
"""

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
