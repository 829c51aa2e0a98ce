"""What the built-in backends without a model file demand of a config."""

from collections.abc import Iterable

from inferd.backend import BackendError, ModelContext


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


def check_tensors(context: ModelContext, *, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """
    Check that a config has exactly these inputs and outputs.

    Raises:
        BackendError: It has others.
    """
    for field, expected, actual in (
        ("input", set(inputs), {tensor.name for tensor in context.config.input}),
        ("output", set(outputs), {tensor.name for tensor in context.config.output}),
    ):
        if expected != actual:
            raise BackendError(
                f"backend '{context.config.backend}' needs the {field}s {sorted(expected)}, but "
                f"model '{context.name}' has {sorted(actual)}"
            )
