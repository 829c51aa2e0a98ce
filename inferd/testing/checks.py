"""
Builds batches for a model and compares what comes back with what it must be.

The plain functions under the conformance suite; they raise :class:`AssertionError`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inferd.backend import (
    Backend,
    BackendError,
    Batch,
    Instance,
    Model,
    ModelConfig,
    ModelContext,
    Placement,
)
from inferd.protocol.datatypes import BY_CONFIG
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.testing.models import Array, SampleModel


@dataclass(slots=True)
class LoadedModel:
    """
    A loaded model, what it must answer, and its instances.

    Attributes:
        sample: What it must answer.
        model: The backend's object.
        placement: Where instance ``i`` runs.
        instances: Those made and not closed.
    """

    sample: SampleModel
    model: Model
    placement: Callable[[int], Placement]
    instances: list[Instance] = field(default_factory=list)

    def create(self) -> Instance:
        """Make the next instance."""
        instance = self.model.create_instance(self.placement(len(self.instances)))
        self.instances.append(instance)
        return instance

    def close_one(self, instance: Instance) -> None:
        """Close an instance, once."""
        self.instances.remove(instance)
        instance.close()

    def close(self) -> None:
        """Close the instances, then the model, as the server does."""
        while self.instances:
            self.instances.pop().close()
        self.model.close()


def require(condition: bool, problem: str) -> None:
    """Raise an :class:`AssertionError` that tells the problem unless the condition holds."""
    if not condition:
        raise AssertionError(problem)


def require_backend_error(call: Callable[[], object]) -> None:
    """Require that a call raises a :class:`BackendError` whose message is one line."""
    error = error_of(call)
    require(isinstance(error, BackendError), f"it ended with {error!r}, not with a BackendError")
    text = str(error)
    require(bool(text) and "\n" not in text, f"its message is not one line: {text!r}")


def error_of(call: Callable[[], object]) -> Exception | None:
    """Return the exception a call raises, or ``None``."""
    try:
        call()
    except Exception as error:
        return error
    return None


def make_context(config: ModelConfig, directory: Path) -> ModelContext:
    """Return version 1 of a model, with a config of its own."""
    own = ModelConfig.parse(bytes(config))
    return ModelContext(config.name, 1, own, directory, directory / "1")


def with_filename(config: ModelConfig, backend: type[Backend]) -> ModelConfig:
    """Return the config with the model file's name filled in, as the server does first."""
    if not config.default_model_filename:
        config.default_model_filename = backend.default_filename
    return config


def without_tensors(config: ModelConfig) -> ModelConfig:
    """Return what a config says of a model when all the model file knows is left out."""
    return ModelConfig(
        name=config.name,
        backend=config.backend,
        platform=config.platform,
        default_model_filename=config.default_model_filename,
        parameters=config.parameters,
    )


def described_tensors(config: ModelConfig) -> tuple[object, ...]:
    """Return what a config says of inputs, outputs and batching, to be compared."""
    return (
        config.max_batch_size > 0,
        [(tensor.name, tensor.data_type, tensor.dims) for tensor in config.input],
        [(tensor.name, tensor.data_type, tensor.dims) for tensor in config.output],
    )


def make_batch(
    sample: SampleModel,
    inputs: Mapping[str, Array],
    *,
    outputs: Sequence[str] = (),
    rows: Sequence[int] = (),
) -> Batch:
    """
    Return a batch as the scheduler makes it.

    Args:
        sample: The model.
        inputs: The gathered inputs.
        outputs: The outputs to ask for; none means all.
        rows: Rows of each request; none means one request with all of them.
    """
    batches = sample.config.max_batch_size > 0
    size = len(next(iter(inputs.values()))) if batches and inputs else 1
    names = list(outputs) or [output.name for output in sample.config.output]
    requests: list[InferRequest] = []
    start = 0
    for count in rows or (size,):
        part = {
            name: array[start : start + count] if batches else array
            for name, array in inputs.items()
        }
        requests.append(_request(sample, part, count))
        start += count
    return Batch(dict(inputs), names, size, requests)


def _request(sample: SampleModel, inputs: Mapping[str, Array], rows: int) -> InferRequest:
    datatypes = {tensor.name: BY_CONFIG[tensor.data_type].name for tensor in sample.config.input}
    request = InferRequest(
        sample.config.name,
        {
            name: Tensor(name, datatypes[name], array.shape, array=array)
            for name, array in inputs.items()
        },
    )
    request.batch_size = rows
    return request


def check_execution(sample: SampleModel, inputs: Mapping[str, Array], instance: Instance) -> None:
    """Execute one request for all outputs and compare the answer."""
    batch = make_batch(sample, inputs)
    compare(sample, inputs, batch, instance.execute(batch))


def compare(
    sample: SampleModel, inputs: Mapping[str, Array], batch: Batch, outputs: Sequence[Array]
) -> None:
    """
    Require that outputs are those of the inputs, in the order the batch asks for.

    Floating-point values may differ as :func:`numpy.allclose` allows.
    """
    require(not batch.failures, f"it failed requests of the batch: {batch.failures}")
    require(
        len(outputs) == len(batch.output_names),
        f"it returned {len(outputs)} outputs, {len(batch.output_names)} were asked for",
    )
    expected = sample.expected(inputs)
    types = {tensor.name: tensor.data_type for tensor in sample.config.output}
    for name, output in zip(batch.output_names, outputs, strict=True):
        dtype = BY_CONFIG[types[name]].dtype
        require(output.dtype == dtype, f"output {name} is {output.dtype}, not {dtype}")
        right = expected[name]
        require(
            output.shape == right.shape,
            f"output {name} has shape {output.shape}, not {right.shape}",
        )
        require(_equal(output, right), f"output {name} is {output}, not {right}")


def _equal(left: Array, right: Array) -> bool:
    if left.dtype.hasobject:
        return [_as_bytes(item) for item in left.flat] == [_as_bytes(item) for item in right.flat]
    if left.dtype.kind == "f":
        return np.allclose(left, right)
    return np.array_equal(left, right)


def _as_bytes(item: str | bytes) -> bytes:
    return item.encode() if isinstance(item, str) else item
