"""What the built-in backends without a model file have in common, and demand of a config."""

from collections.abc import Callable, Collection, Mapping

from inferd._generated.inference import DataType, ModelInput, ModelOutput
from inferd.backend import BackendError, Instance, Model, ModelContext, Placement

Datatypes = Collection[DataType]
"""The datatypes a tensor may have; none means any."""


class FilelessModel(Model):
    """
    A model that is nothing but its instances.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[], Instance]) -> None:
        self._make = make

    def create_instance(self, placement: Placement) -> Instance:
        """Make an instance, wherever it is to run."""
        return self._make()


def check_decoupled(context: ModelContext) -> None:
    """
    Check that a model is decoupled and does not batch.

    Raises:
        BackendError: It is not, or does.
    """
    policy = context.config.model_transaction_policy
    if policy is None or not policy.decoupled:
        raise BackendError(
            f"backend '{context.config.backend}' of model '{context.name}' needs "
            "'model_transaction_policy { decoupled: true }'"
        )
    if context.config.max_batch_size:
        raise BackendError(
            f"backend '{context.config.backend}' of model '{context.name}' needs a "
            f"'max_batch_size' of 0, got {context.config.max_batch_size}"
        )


def check_tensors(
    context: ModelContext, *, inputs: Mapping[str, Datatypes], outputs: Mapping[str, Datatypes]
) -> None:
    """
    Check that a config has exactly these inputs and outputs, of these datatypes.

    Raises:
        BackendError: It has others.
    """
    _check_tensors(context, "input", inputs, context.config.input)
    _check_tensors(context, "output", outputs, context.config.output)


def _check_tensors(
    context: ModelContext,
    field: str,
    expected: Mapping[str, Datatypes],
    actual: Collection[ModelInput | ModelOutput],
) -> None:
    names = {tensor.name for tensor in actual}
    if expected.keys() != names:
        raise BackendError(
            f"backend '{context.config.backend}' needs the {field}s {sorted(expected)}, but "
            f"model '{context.name}' has {sorted(names)}"
        )
    for tensor in actual:
        allowed = expected[tensor.name]
        if allowed and tensor.data_type not in allowed:
            raise BackendError(
                f"backend '{context.config.backend}' needs {field} '{tensor.name}' to be "
                f"{' or '.join(datatype.name or '' for datatype in allowed)}, but model "
                f"'{context.name}' has {tensor.data_type.name}"
            )


def check_same_datatype(context: ModelContext, source: str, target: str) -> None:
    """
    Check that an output has the datatype of an input; both are there.

    Raises:
        BackendError: It has another.
    """
    expected = next(one.data_type for one in context.config.input if one.name == source)
    actual = next(one.data_type for one in context.config.output if one.name == target)
    if expected != actual:
        raise BackendError(
            f"backend '{context.config.backend}' needs output '{target}' to be {expected.name} "
            f"like input '{source}', but model '{context.name}' has {actual.name}"
        )


def check_one_element(context: ModelContext, name: str) -> None:
    """
    Check that an input has one element; it is there.

    Raises:
        BackendError: It may have more or none.
    """
    dims = next(one.dims for one in context.config.input if one.name == name)
    if list(dims) != [1]:
        raise BackendError(
            f"backend '{context.config.backend}' needs input '{name}' of dims [1], but model "
            f"'{context.name}' has {list(dims)}"
        )
