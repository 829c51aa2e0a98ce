"""
The plan of an ensemble and one request's way through it: which steps can start when.

Tensors are handed on by reference. A step starts when every ensemble tensor it reads
exists; steps that do not depend on each other may run at the same time. It decides only:
no clock, no loop.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from inferd._generated.inference import ModelConfig, ModelEnsemblingStep
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, exchange_dims
from inferd.protocol.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """
    One model of an ensemble.

    Attributes:
        index: Its place in the config.
        model_name: The model.
        model_version: The version as a client would write it; ``""`` is the latest.
        inputs: Model input -> ensemble tensor.
        outputs: Model output -> ensemble tensor.
        requested: The outputs to ask the model for.
    """

    index: int
    model_name: str
    model_version: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    requested: tuple[RequestedOutput, ...]

    @classmethod
    def from_config(cls, index: int, step: ModelEnsemblingStep) -> Self:
        """
        Compile one step of a validated config; any version below 1 is the latest.

        Maps of a config come in no order; sorted, errors are the same every time.
        """
        return cls(
            index,
            step.model_name,
            str(step.model_version) if step.model_version > 0 else "",
            dict(sorted(step.input_map.items())),
            dict(sorted(step.output_map.items())),
            tuple(RequestedOutput(name) for name in sorted(step.output_map)),
        )


class EnsemblePlan:
    """
    What an ensemble does, compiled from its config.

    Attributes:
        name: The ensemble's name.
        signature: What clients send and get.
        steps: The steps, in the config's order.
        readers: Ensemble tensor -> the steps that read it.
        uses: Ensemble tensor -> how often it is read: by steps, and as an output.
        is_chain: Whether no two steps can ever run at the same time.
        max_in_flight: Responses of a decoupled step that may be on their way through the
            steps behind it; 0 leaves it to the server.
    """

    __slots__ = ("is_chain", "max_in_flight", "name", "readers", "signature", "steps", "uses")

    def __init__(self, signature: Signature, steps: Sequence[Step], max_in_flight: int = 0) -> None:
        self.name = signature.model_name
        self.max_in_flight = max_in_flight
        self.signature = signature
        self.steps = tuple(steps)
        self.readers: dict[str, list[Step]] = {}
        for step in steps:
            for tensor in dict.fromkeys(step.inputs.values()):
                self.readers.setdefault(tensor, []).append(step)
        self.uses = Counter({tensor: len(steps) for tensor, steps in self.readers.items()})
        self.uses.update(list(signature.outputs))
        self.is_chain = self._is_chain()

    @classmethod
    def from_config(cls, config: ModelConfig, signature: Signature) -> Self:
        """Compile the plan of a validated ensemble config."""
        scheduling = config.ensemble_scheduling
        if scheduling is None:
            return cls(signature, [])
        steps = [Step.from_config(i, step) for i, step in enumerate(scheduling.step)]
        return cls(signature, steps, scheduling.max_inflight_requests)

    def _is_chain(self) -> bool:
        """Whether each step's end lets at most one other start."""
        waiting = {step.index: set(step.inputs.values()) for step in self.steps}
        new: Iterable[str] = self.signature.inputs
        while True:
            for missing in waiting.values():
                missing.difference_update(new)
            ready = [index for index, missing in waiting.items() if not missing]
            if len(ready) != 1:
                return not ready
            del waiting[ready[0]]
            new = self.steps[ready[0]].outputs.values()


@dataclass(frozen=True, slots=True)
class _Held:
    """
    An ensemble tensor that exists.

    Attributes:
        tensor: Its data; ``None`` for an optional input the client left out, and for what
            no one will read again.
        rows: Rows of the request that made it; 0 when its maker does not batch.
    """

    tensor: Tensor | None
    rows: int


class EnsembleRun:
    """
    One request on its way through an ensemble.

    Args:
        plan: The ensemble's plan.
        request: The checked request.
    """

    __slots__ = ("_missing", "_plan", "_request", "_tensors", "_uses")

    def __init__(self, plan: EnsemblePlan, request: InferRequest) -> None:
        self._plan = plan
        self._request = request
        self._tensors: dict[str, _Held] = {}
        self._uses = dict(plan.uses)
        self._missing = [len(set(step.inputs.values())) for step in plan.steps]

    def start(self) -> list[Step]:
        """Return the steps that need nothing but the request's inputs."""
        signature = self._plan.signature
        rows = self._request.batch_size if signature.batches else 0
        return self._add((name, _Held(self._input(name), rows)) for name in signature.inputs)

    def take_inputs(self, step: Step, signature: Signature) -> dict[str, Tensor]:
        """
        Return the inputs of a step that can start, in the shapes its model expects; only once.

        An optional ensemble input that the client left out is left out here, too. What no
        other step and no output needs is not kept any longer.

        Args:
            step: The step.
            signature: What its model takes.
        """
        inputs: dict[str, Tensor] = {}
        for name, source in step.inputs.items():
            held, spec = self._tensors[source], signature.inputs.get(name)
            if held.tensor is None:
                continue
            shape = held.tensor.shape
            if spec is not None:
                shape = fit_shape(shape, spec.dims, rows=held.rows, batches=signature.batches)
            inputs[name] = held.tensor.alias(name, shape)
        for source in set(step.inputs.values()):
            self._uses[source] -= 1
            if not self._uses[source]:
                self._tensors[source] = _Held(None, 0)
        return inputs

    def complete(self, step: Step, outputs: Iterable[Tensor], rows: int) -> list[Step]:
        """
        Note what a step returned and return the steps that can start because of it.

        Args:
            step: The step that ended.
            outputs: Its model's outputs.
            rows: Rows of its request; 0 when its model does not batch.
        """
        return self._add(
            (step.outputs[tensor.name], _Held(tensor, rows))
            for tensor in outputs
            if tensor.name in step.outputs
        )

    def fork(
        self, step: Step, outputs: Iterable[Tensor], rows: int
    ) -> tuple["EnsembleRun", list[Step]]:
        """
        Go on from one of several responses of a step, as if it were the only one.

        Every other step that could start has ended; what it made is shared.

        Args:
            step: The step, of a decoupled model.
            outputs: The outputs of the response.
            rows: Rows of the step's request; 0 when its model does not batch.

        Returns:
            The way from there, and the steps that can start on it.
        """
        branch = EnsembleRun(self._plan, self._request)
        branch._tensors = dict(self._tensors)
        branch._uses = dict(self._uses)
        branch._missing = list(self._missing)
        return branch, branch.complete(step, outputs, rows)

    def outputs(self) -> list[Tensor]:
        """
        Return the outputs the client asked for, in its order, once no step runs any more.

        Raises:
            InvalidRequest: A model left one out; the text is Triton's.
        """
        signature = self._plan.signature
        asked = [output.name for output in self._request.outputs] or list(signature.outputs)
        return [self._output(name, signature) for name in asked]

    def _input(self, name: str) -> Tensor | None:
        """Return what the client sent, in the shape the config's ``reshape`` gives it."""
        tensor, signature = self._request.inputs.get(name), self._plan.signature
        spec = signature.inputs[name]
        if tensor is None or spec.reshape is None:
            return tensor
        shape = exchange_dims(tensor.shape, spec.dims, spec.reshape, batches=signature.batches)
        return tensor.alias(name, shape)

    def _output(self, name: str, signature: Signature) -> Tensor:
        held = self._tensors.get(name)
        if held is None or held.tensor is None:
            raise InvalidRequest(
                "unexpected deadlock, at least one output is not set while no more ensemble steps "
                "can be made"
            )
        spec, batches = signature.outputs[name], signature.batches
        inner = spec.dims if spec.reshape is None else spec.reshape
        shape = fit_shape(held.tensor.shape, inner, rows=held.rows, batches=batches)
        if spec.reshape is not None:
            shape = exchange_dims(shape, spec.reshape, spec.dims, batches=batches)
        return held.tensor.alias(name, shape)

    def _add(self, made: Iterable[tuple[str, _Held]]) -> list[Step]:
        """Add tensors; return the steps whose last missing one was among them."""
        ready: list[Step] = []
        for name, held in made:
            if name in self._tensors:
                continue
            self._tensors[name] = held
            for step in self._plan.readers.get(name, ()):
                self._missing[step.index] -= 1
                if not self._missing[step.index]:
                    ready.append(step)
        return ready


def fit_shape(
    shape: tuple[int, ...], dims: Sequence[int], *, rows: int, batches: bool
) -> tuple[int, ...]:
    """
    Return the shape in which a tensor passes between models that batch and models that do not.

    A tensor of a model that does not batch gets a batch dimension of 1 where its shape is
    what the reader takes per row; a tensor of one row loses its batch dimension where the
    reader takes a row. Everything else passes as it is, as in Triton.

    Args:
        shape: The tensor's shape.
        dims: What the reader takes, without a batch dimension; -1 is any.
        rows: Rows of the request that made the tensor; 0 when its maker does not batch.
        batches: Whether the reader batches.
    """
    if batches == (rows > 0):
        return shape
    fits = len(shape) == len(dims) and all(
        want in (-1, got) for want, got in zip(dims, shape, strict=True)
    )
    if batches:
        return (1, *shape) if fits else shape
    return shape[1:] if rows == 1 and not fits else shape
