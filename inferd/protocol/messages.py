"""
Inference requests and responses as plain objects, the same for HTTP and gRPC.

They carry no behaviour: frontends fill them in, the data plane passes them on.
"""

from collections.abc import Sequence
from typing import Final

from inferd.protocol.tensors import Tensor

ParameterValue = bool | int | float | str
"""What a request or response parameter may be."""

SHARED_MEMORY_DISABLED: Final = (
    "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
)
"""What Triton answers to a tensor in shared memory when that is off, as it is by default."""


class RequestedOutput:
    """
    An output the client asked for.

    Attributes:
        name: The output's name.
        classification: Return the top ``classification`` classes as strings
            instead of the tensor; 0 returns the tensor.
        binary_data: HTTP only: return the tensor behind the JSON, not in it.
        parameters: Parameters this server does not interpret.
    """

    __slots__ = ("binary_data", "classification", "name", "parameters")

    def __init__(
        self,
        name: str,
        *,
        classification: int = 0,
        binary_data: bool = False,
        parameters: dict[str, ParameterValue] | None = None,
    ) -> None:
        self.name = name
        self.classification = classification
        self.binary_data = binary_data
        self.parameters = parameters


class InferRequest:
    """
    One inference request.

    Attributes:
        model_name: The model asked for.
        model_version: The version as the client wrote it; ``""`` is the latest ready one.
        id: The client's request id, or ``""``.
        inputs: The input tensors by name, in the client's order.
        outputs: What to return; empty means every output of the model.
        parameters: Custom parameters, handed to the model.
        sequence_id: Correlation id; 0 and ``""`` mean none.
        sequence_start: Whether this request begins its sequence.
        sequence_end: Whether this request ends its sequence.
        priority: Priority level; 0 is the model's default.
        timeout_us: Queue timeout in microseconds; 0 is none.
        received_ns: Monotonic time at which the request was complete.
        deadline_ns: Monotonic time from which on the client does not wait for the answer;
            0 is none.
        batch_size: Rows of this request; set when it is checked against the model.
    """

    __slots__ = (
        "batch_size",
        "deadline_ns",
        "id",
        "inputs",
        "model_name",
        "model_version",
        "outputs",
        "parameters",
        "priority",
        "received_ns",
        "sequence_end",
        "sequence_id",
        "sequence_start",
        "timeout_us",
    )

    def __init__(
        self,
        model_name: str,
        inputs: dict[str, Tensor],
        *,
        model_version: str = "",
        id: str = "",
        outputs: Sequence[RequestedOutput] = (),
        parameters: dict[str, ParameterValue] | None = None,
        sequence_id: int | str = 0,
        sequence_start: bool = False,
        sequence_end: bool = False,
        priority: int = 0,
        timeout_us: int = 0,
        received_ns: int = 0,
        deadline_ns: int = 0,
    ) -> None:
        self.model_name = model_name
        self.model_version = model_version
        self.id = id
        self.inputs = inputs
        self.outputs = outputs
        self.parameters = parameters if parameters is not None else {}
        self.sequence_id = sequence_id
        self.sequence_start = sequence_start
        self.sequence_end = sequence_end
        self.priority = priority
        self.timeout_us = timeout_us
        self.received_ns = received_ns
        self.deadline_ns = deadline_ns
        self.batch_size = 1


class InferResponse:
    """
    The answer to one request.

    Attributes:
        model_name: The model that answered.
        model_version: The version that answered.
        id: The request's id.
        outputs: The requested outputs, in the order they were asked for, or in the
            model's order when none were named.
        parameters: Parameters the backend set.
    """

    __slots__ = ("id", "model_name", "model_version", "outputs", "parameters")

    def __init__(
        self,
        model_name: str,
        model_version: str,
        outputs: Sequence[Tensor],
        *,
        id: str = "",
        parameters: dict[str, ParameterValue] | None = None,
    ) -> None:
        self.model_name = model_name
        self.model_version = model_version
        self.outputs = outputs
        self.id = id
        self.parameters = parameters
