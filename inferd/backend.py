"""
The contract a framework backend fulfils; the public API of ``inferd-backend-*`` plugins.

A plugin declares one entry point in the group ``inferd.backends`` whose name is the
``backend`` field of a model config and whose value is a subclass of :class:`Backend`::

    [project.entry-points."inferd.backends"]
    onnxruntime = "inferd_backend_onnx:OnnxBackend"

The objects live as follows, and every method may block (none is called on the event
loop, except :meth:`Instance.execute` of a model so fast that a thread would cost more):

* one :class:`Backend` per process, made when the first of its models loads;
* one :class:`Model` per loaded version;
* one :class:`Instance` per instance of the version's instance groups. An instance is
  never called by two threads at once.

A framework should have no more threads than :func:`usable_cpus`, which knows the cgroup's
quota, for all of its models together where their configs do not state how many.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from inferd._generated.inference import ModelConfig, ModelInstanceGroupKind
from inferd.cpus import usable_cpus
from inferd.errors import BackendError, InferdError
from inferd.protocol.messages import InferRequest, ParameterValue

__all__ = [
    "API_VERSION",
    "Backend",
    "BackendError",
    "Batch",
    "Instance",
    "Model",
    "ModelConfig",
    "ModelContext",
    "ModelInstanceGroupKind",
    "Placement",
    "ResponseSender",
    "usable_cpus",
]

API_VERSION = 1
"""The contract's version; a plugin built for another one is refused."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ModelContext:
    """
    What a backend gets to load one version of a model.

    Attributes:
        name: The model's name.
        version: The version number.
        config: The model config; completed and validated when :meth:`Backend.load` is
            called, possibly partial when :meth:`Backend.complete_config` is.
        model_directory: The folder that holds ``config.pbtxt``.
        version_directory: The folder of this version.
    """

    name: str
    version: int
    config: ModelConfig
    model_directory: Path
    version_directory: Path

    @property
    def model_path(self) -> Path:
        """The version's model file: ``default_model_filename`` in the version folder."""
        return self.version_directory / self.config.default_model_filename

    def parameter(self, key: str, default: str = "") -> str:
        """Return the string value of a model-config parameter."""
        found = self.config.parameters.get(key)
        return default if found is None else found.string_value


@dataclass(frozen=True, slots=True)
class Placement:
    """
    Where one instance runs.

    Attributes:
        name: The instance's name, ``<group>_<index>``.
        kind: ``KIND_CPU``, ``KIND_GPU`` or ``KIND_MODEL``; ``KIND_AUTO`` is resolved before.
        device_id: The GPU's index for ``KIND_GPU``, else 0.
    """

    name: str
    kind: ModelInstanceGroupKind
    device_id: int = 0


class ResponseSender(ABC):
    """
    Sends the responses of one request of a decoupled model; usable from any thread.

    It may be kept after :meth:`Instance.execute` has returned: the request is over once its
    final response was sent, and the instance may have executed other requests by then. A
    sender that is dropped before that ends its request with an error.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def is_cancelled(self) -> bool:
        """Whether nobody waits for more; what is sent then is dropped."""

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether :meth:`send` would return at once."""

    @abstractmethod
    def send(
        self,
        outputs: Mapping[str, Array],
        *,
        parameters: dict[str, ParameterValue] | None = None,
        final: bool = False,
    ) -> bool:
        """
        Send one response; waits while the client has not taken the ones before it.

        Args:
            outputs: Output name -> array of the datatype the config declares, with the batch
                dimension if the model batches. Outputs may be left out, and those the client
                did not ask for are not sent. The arrays must stay valid and unchanged.
            parameters: The response's parameters.
            final: Whether it is the last one.

        Returns:
            ``False`` when the client is gone and the response was dropped.

        Raises:
            BackendError: The final response was sent before, or an output is not what the
                config declares.
        """

    @abstractmethod
    def fail(self, error: InferdError, *, final: bool = True) -> bool:
        """Send an error in place of a response; returns and raises as :meth:`send`."""

    @abstractmethod
    def finish(self) -> None:
        """Say that there are no more responses; does nothing after the final one."""


class Batch:
    """
    The requests one execution answers, gathered into one tensor per input.

    Attributes:
        inputs: One array per input, shaped as the model's graph expects it (the config's
            ``reshape`` is applied); dimension 0 is the batch when the model batches.
            ``BYTES`` is an object array of :class:`bytes`, ``BF16`` an array of ``uint16``.
            An array may be read-only. One that is writeable is lent for the call only;
            a read-only one may be returned as an output. A state with
            ``use_same_buffer_for_input_output`` is writeable: the next one may be written over
            it and returned.
        output_names: The outputs to return, in this order.
        size: Rows in the batch; 1 for a model that does not batch.
        requests: The requests in row order; ``requests[i].batch_size`` rows each. Nobody
            waits for the answer of one with a ``deadline_ns`` after that time.
        senders: One per request if the model is decoupled
            (``model_transaction_policy.decoupled``), else empty.
    """

    __slots__ = (
        "failures",
        "inputs",
        "output_names",
        "parameters",
        "requests",
        "rescheduled",
        "senders",
        "size",
    )

    def __init__(
        self,
        inputs: dict[str, Array],
        output_names: Sequence[str],
        size: int,
        requests: Sequence[InferRequest],
    ) -> None:
        self.inputs = inputs
        self.output_names = output_names
        self.size = size
        self.requests = requests
        self.failures: dict[int, InferdError] | None = None
        self.parameters: dict[int, dict[str, ParameterValue]] | None = None
        self.senders: Sequence[ResponseSender] = ()
        self.rescheduled: set[int] | None = None

    @property
    def deadline_ns(self) -> int:
        """
        When nobody waits for any of the answers any more, as ``time.monotonic_ns`` counts.

        0 when somebody waits for ever. A backend may stop then, and raise what it likes.
        """
        deadlines = [request.deadline_ns for request in self.requests]
        return max(deadlines, default=0) if all(deadlines) else 0

    def fail(self, index: int, error: InferdError) -> None:
        """Answer request ``index`` with an error; its rows of the outputs are ignored."""
        if self.failures is None:
            self.failures = {}
        self.failures[index] = error

    def set_parameters(self, index: int, parameters: dict[str, ParameterValue]) -> None:
        """Attach response parameters to the answer of request ``index``."""
        if self.parameters is None:
            self.parameters = {}
        self.parameters[index] = parameters

    def reschedule(self, index: int) -> None:
        """
        Execute request ``index`` again in a later batch; its rows of the outputs are not sent.

        For models with ``sequence_batching { iterative_sequence: true }``; the request of any
        other model fails. A request whose client is gone is not executed again.
        """
        if not 0 <= index < len(self.requests):
            raise BackendError(f"there is no request {index} in a batch of {len(self.requests)}")
        if self.rescheduled is None:
            self.rescheduled = set()
        self.rescheduled.add(index)


class Instance(ABC):
    """One copy of a model that executes one batch at a time."""

    @abstractmethod
    def execute(self, batch: Batch) -> Sequence[Array]:
        """
        Run the model once.

        Returns:
            One array per name in ``batch.output_names``, in that order, with the
            datatypes the config declares and, for a model that batches, ``batch.size``
            rows each. ``BYTES`` may hold :class:`bytes` or :class:`str`. The arrays must
            stay valid and unchanged after the call; they are sent without a copy.
            For a decoupled model, nothing when ``batch.senders`` answer; otherwise every
            request gets its part as the one, final response.

        Raises:
            BackendError: The whole batch failed. Any other exception is logged and
                answered without its detail.
        """

    def close(self) -> None:
        """Free what the instance holds; called once, after the last execution."""
        return None


class Model(ABC):
    """One loaded version of a model."""

    @abstractmethod
    def create_instance(self, placement: Placement) -> Instance:
        """
        Make one instance.

        Raises:
            BackendError: It cannot be placed there, and why.
        """

    def close(self) -> None:
        """Free what the version holds; called once, after its instances are closed."""
        return None


class Backend(ABC):
    """
    A framework.

    Args:
        settings: The ``--backend-config`` values meant for this backend, with the
            global ones underneath.
    """

    API_VERSION: ClassVar[int] = 0
    """The contract's version the plugin was written for; set it to :data:`API_VERSION`."""

    default_filename: ClassVar[str] = ""
    """The model file looked for in a version folder; ``""`` when there is none."""

    cpu_instance_count: ClassVar[int] = 1
    """Instances of a ``KIND_CPU`` group that states no count."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    @property
    def framework_version(self) -> str:
        """The framework's version, shown at start-up."""
        return ""

    @property
    def uses_gpus(self) -> bool:
        """Whether models of this backend go to a GPU when their config leaves it open."""
        return False

    def complete_config(self, context: ModelContext) -> ModelConfig:
        """
        Return the config with what the model file knows filled in.

        ``context.config`` is this call's own copy and may be changed and returned.

        Raises:
            BackendError: The file contradicts the config or cannot be read.
        """
        return context.config

    @abstractmethod
    def load(self, context: ModelContext) -> Model:
        """
        Load one version.

        Raises:
            BackendError: It cannot be loaded, and why.
        """
