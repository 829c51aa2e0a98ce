"""
A model's inputs and outputs, compiled once from its config, and the check of a request.

The texts of the errors are Triton's (``InferenceRequest::Normalize``); clients and
tests match on them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from inferd._generated.inference import ModelConfig, ModelInput, ModelOutput
from inferd.errors import InvalidRequest
from inferd.protocol import bytes_tensor
from inferd.protocol.datatypes import BY_CONFIG, BY_NAME
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

_BATCH_DIMENSION_NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension "
    "to be prepended to each input shape. If you want to specify the full shape including the "
    "batch dim in your input dims config, try setting max_batch_size to zero. See the model "
    "configuration docs for more info on max_batch_size."
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """
    One input or output as the config declares it.

    Attributes:
        name: The tensor's name.
        datatype: The wire name of the datatype.
        itemsize: Bytes per element; 0 for ``BYTES``.
        dims: The dimensions without the batch dimension; -1 is variable.
        reshape: The dimensions the backend sees instead, or ``None`` for the same.
        optional: Whether a request may leave the input out.
        ragged: Whether requests with different shapes may share a batch.
        label_filename: The file of class labels of an output, or ``""``.
        fixed_bytes: Bytes per row when that is the same for every request, else 0.
        is_fixed: Whether its shape is the same for every request, and its size or it is ``BYTES``.
    """

    name: str
    datatype: str
    itemsize: int
    dims: tuple[int, ...]
    reshape: tuple[int, ...] | None = None
    optional: bool = False
    ragged: bool = False
    label_filename: str = ""
    fixed_bytes: int = field(init=False)
    is_fixed: bool = field(init=False)

    def __post_init__(self) -> None:
        fixed = 0 if -1 in self.dims else math.prod(self.dims) * self.itemsize
        object.__setattr__(self, "fixed_bytes", fixed)
        is_fixed = fixed > 0 or (self.datatype == "BYTES" and -1 not in self.dims)
        object.__setattr__(self, "is_fixed", is_fixed)

    @property
    def is_variable(self) -> bool:
        """Whether any dimension may differ from request to request."""
        return -1 in self.dims


def exchange_dims(
    shape: Sequence[int], source: Sequence[int], target: Sequence[int], *, batches: bool
) -> tuple[int, ...]:
    """
    Return the shape of a tensor on the other side of a config's ``reshape``.

    Args:
        shape: The tensor's shape, with a batch dimension when ``batches``.
        source: The dimensions that shape has.
        target: The dimensions it is to have; -1 are taken in order from those of ``source``.
        batches: Whether there is a batch dimension, which stays.
    """
    lead = tuple(shape[:1]) if batches else ()
    variable = iter(
        got for got, want in zip(shape[len(lead) :], source, strict=False) if want == -1
    )
    return (*lead, *(next(variable, -1) if dim == -1 else dim for dim in target))


def _spec(tensor: ModelInput | ModelOutput) -> TensorSpec:
    datatype = BY_CONFIG[tensor.data_type]
    return TensorSpec(
        name=tensor.name,
        datatype=datatype.name,
        itemsize=datatype.itemsize,
        dims=tuple(tensor.dims),
        reshape=None if tensor.reshape is None else tuple(tensor.reshape.shape),
        optional=isinstance(tensor, ModelInput) and tensor.optional,
        ragged=isinstance(tensor, ModelInput) and tensor.allow_ragged_batch,
        label_filename=tensor.label_filename if isinstance(tensor, ModelOutput) else "",
    )


class Signature:
    """
    What a model version takes and returns.

    Attributes:
        model_name: The model's name, for messages.
        max_batch_size: The largest batch; 0 when the model does not batch, and then
            shapes have no batch dimension.
        inputs: Input name -> spec, in config order.
        outputs: Output name -> spec, in config order.
    """

    __slots__ = ("_required", "_strings", "inputs", "max_batch_size", "model_name", "outputs")

    def __init__(
        self,
        model_name: str,
        max_batch_size: int,
        inputs: Iterable[TensorSpec],
        outputs: Iterable[TensorSpec],
    ) -> None:
        self.model_name = model_name
        self.max_batch_size = max_batch_size
        self.inputs = {spec.name: spec for spec in inputs}
        self.outputs = {spec.name: spec for spec in outputs}
        self._strings = [
            spec.name for spec in self.inputs.values() if spec.is_fixed and not spec.fixed_bytes
        ]
        self._required = [spec.name for spec in self.inputs.values() if not spec.optional]

    @classmethod
    def from_config(cls, config: ModelConfig) -> "Signature":
        """Compile the signature of a completed and validated config."""
        return cls(
            config.name,
            config.max_batch_size,
            (_spec(tensor) for tensor in config.input),
            (_spec(tensor) for tensor in config.output),
        )

    @property
    def batches(self) -> bool:
        """Whether shapes carry a leading batch dimension."""
        return self.max_batch_size > 0

    def full_shape(self, spec: TensorSpec) -> list[int]:
        """Return the shape a client sees: ``dims`` with -1 in front when the model batches."""
        return [-1, *spec.dims] if self.batches else list(spec.dims)

    def check(self, request: InferRequest) -> None:
        """
        Check a request and set its ``batch_size``.

        Raises:
            InvalidRequest: An input or output is unknown, missing, of the wrong
                datatype, shape or size, or the batch is too large.
        """
        for output in request.outputs:
            if output.name not in self.outputs:
                raise InvalidRequest(
                    f"unexpected inference output '{output.name}' for model '{self.model_name}'"
                )
        request.batch_size = self._plain_rows(request) or self._checked_rows(request)

    def _plain_rows(self, request: InferRequest) -> int:
        """
        Return the rows of a request that fits at first sight, else 0.

        The hot path's only look at the inputs: no optional or variable ones. It calls
        nothing, which would take longer than all it does.
        """
        inputs, specs = request.inputs, self.inputs
        if inputs.keys() != specs.keys():
            return 0
        batches, rows = self.max_batch_size > 0, 0
        for name, tensor in inputs.items():
            spec = specs[name]
            shape = tensor.shape
            if batches:
                if not shape or shape[0] < 1 or (rows and shape[0] != rows):
                    return 0
                rows = shape[0]
                shape = shape[1:]
            if shape != spec.dims or tensor.datatype != spec.datatype or not spec.is_fixed:
                return 0
            raw, size = tensor.buffer, spec.fixed_bytes
            if raw is not None and size and len(raw) != (rows or 1) * size:
                return 0
        if rows > self.max_batch_size:
            return 0
        if self._strings:
            self._check_strings(request)
        return rows or 1

    def _check_strings(self, request: InferRequest) -> None:
        # Last, since whatever else is wrong is told first.
        for name in self._strings:
            tensor = request.inputs[name]
            if tensor.has_raw:
                self._check_elements(request, self.inputs[name], tensor)

    def _checked_rows(self, request: InferRequest) -> int:
        """Check the inputs in the reference's order, which decides whose text is seen."""
        self._check_names(request)
        rows = self._check_batch(request) if self.batches else 1
        for name, tensor in request.inputs.items():
            spec = self.inputs[name]
            self._check_datatype(request, spec, tensor)
            self._check_shape(request, spec, tensor)
            self._check_size(request, spec, tensor)
        return rows

    def _refuse(self, request: InferRequest, text: str) -> NoReturn:
        raise InvalidRequest(f"[request id: {request.id or '<id_unknown>'}] {text}")

    def _check_names(self, request: InferRequest) -> None:
        given = request.inputs
        missing = [name for name in self._required if name not in given]
        least, most = len(self._required), len(self.inputs)
        if not least <= len(given) <= most:
            self._refuse_count(request, missing)
        for name in given:
            if name not in self.inputs:
                raise InvalidRequest(
                    f"unexpected inference input '{name}' for model '{self.model_name}'"
                )
        if missing:
            self._refuse_count(request, missing)

    def _refuse_count(self, request: InferRequest, missing: Sequence[str]) -> NoReturn:
        given = request.inputs
        least, most = len(self._required), len(self.inputs)
        expected = (
            f"expected {most} inputs"
            if least == most
            else f"expected number of inputs between {least} and {most}"
        )
        self._refuse(
            request,
            f"{expected} but got {len(given)} inputs for model '{self.model_name}'. "
            f"Got input(s) [{_quoted(given)}], but missing required input(s) [{_quoted(missing)}]. "
            "Please provide all required input(s).",
        )

    def _check_batch(self, request: InferRequest) -> int:
        rows: int | None = None
        for tensor in request.inputs.values():
            if not tensor.shape:
                self._refuse(
                    request,
                    f"input '{tensor.name}' has no shape but model requires batch dimension for "
                    f"'{self.model_name}'",
                )
            if rows is not None and tensor.shape[0] != rows:
                self._refuse(
                    request,
                    f"input '{tensor.name}' batch size does not match other inputs for "
                    f"'{self.model_name}'",
                )
            rows = tensor.shape[0]
        if rows is not None and rows > self.max_batch_size:
            self._refuse(
                request,
                f"inference request batch-size must be <= {self.max_batch_size} "
                f"for '{self.model_name}'",
            )
        return 1 if rows is None else rows

    def _check_datatype(self, request: InferRequest, spec: TensorSpec, tensor: Tensor) -> None:
        if tensor.datatype != spec.datatype:
            actual = tensor.datatype if tensor.datatype in BY_NAME else "<invalid>"
            self._refuse(
                request,
                f"inference input '{spec.name}' data-type is '{actual}', but model "
                f"'{self.model_name}' expects '{spec.datatype}'",
            )

    def _check_shape(self, request: InferRequest, spec: TensorSpec, tensor: Tensor) -> None:
        if any(dim < 0 for dim in tensor.shape):
            self._refuse(
                request,
                f"All input dimensions should be specified for input '{spec.name}' for model "
                f"'{self.model_name}', got {_brackets(tensor.shape)}",
            )
        shape = tensor.shape[1:] if self.batches else tensor.shape
        fits = len(shape) == len(spec.dims) and all(
            want in (-1, got) for want, got in zip(spec.dims, shape, strict=True)
        )
        if not fits:
            self._refuse(
                request,
                f"unexpected shape for input '{spec.name}' for model '{self.model_name}'. "
                f"Expected {_brackets(self.full_shape(spec))}, got {_brackets(tensor.shape)}."
                + (_BATCH_DIMENSION_NOTE if self.batches else ""),
            )

    def _check_size(self, request: InferRequest, spec: TensorSpec, tensor: Tensor) -> None:
        if not tensor.has_raw:
            return
        if spec.datatype == "BYTES":
            self._check_elements(request, spec, tensor)
            return
        expected = math.prod(tensor.shape) * spec.itemsize
        actual = len(tensor.raw())
        if actual != expected:
            self._refuse(
                request,
                f"input byte size mismatch for input '{spec.name}' for model "
                f"'{self.model_name}'. Expected {expected}, got {actual}",
            )

    def _check_elements(self, request: InferRequest, spec: TensorSpec, tensor: Tensor) -> None:
        expected = tensor.element_count
        try:
            found = tensor.unpack()
        except bytes_tensor.BytesFormatError as error:
            where = self._where(spec)
            if error.length is None:
                self._refuse(
                    request,
                    f"incomplete string length indicator {where}, expecting 4 bytes but only "
                    f"{error.available} bytes available. Please make sure the string length "
                    "indicator is in one buffer.",
                )
            self._refuse(
                request,
                f"incomplete string data {where}, expecting string of length {error.length} "
                f"but only {error.available} bytes available",
            )
        if found > expected:
            self._refuse(
                request,
                f"unexpected number of string elements {found} {self._where(spec)}, "
                f"expecting {expected}",
            )
        if found < expected:
            self._refuse(
                request, f"expected {expected} string elements {self._where(spec)}, got {found}"
            )

    def _where(self, spec: TensorSpec) -> str:
        return f"for inference input '{spec.name}' for model '{self.model_name}'"


def _quoted(names: Iterable[str]) -> str:
    return ",".join(f"'{name}'" for name in names)


def _brackets(shape: Iterable[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
