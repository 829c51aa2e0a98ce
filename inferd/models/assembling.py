"""Chooses the assembler a model's config needs: the ordinary one wherever that is enough."""

from inferd._generated.inference import ModelConfig
from inferd.models.collating import read_collation
from inferd.protocol.signature import Signature
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.batch_inputs import batch_inputs, batch_outputs
from inferd.scheduling.statistics import ModelStatistics, PaddingStatistics
from inferd.scheduling.variable_assembly import VariableAssembler


def assembler_of(
    config: ModelConfig,
    signature: Signature,
    version: int,
    statistics: ModelStatistics | None = None,
) -> Assembler:
    """
    Return what gathers and scatters the tensors of a validated config.

    Args:
        config: The model's config.
        signature: Its inputs and outputs.
        version: The version number.
        statistics: Gets the counters of padding, if the model pads; ``None`` counts nothing.
    """
    collation = read_collation(config, signature)
    ragged = any(spec.ragged for spec in signature.inputs.values())
    if not (collation or ragged or config.batch_input or config.batch_output):
        return Assembler(signature, version)
    padding = PaddingStatistics()
    if collation is not None and statistics is not None:
        statistics.padding = padding
    return VariableAssembler(
        signature,
        version,
        batch_inputs=batch_inputs(config),
        batch_outputs=batch_outputs(config),
        collation=collation,
        padding=padding,
    )
