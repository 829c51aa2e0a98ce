"""
Runs a config's warm-up samples on every instance before a version is ready.

A sample of batch size ``n`` is ``n`` requests of one row in one execution. The samples
go straight to the instances: they pass no queue and are in no statistics.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inferd._generated.inference import ModelConfig, ModelWarmup, ModelWarmupInput
from inferd.backend import Instance
from inferd.errors import InferdError, InvalidRequest, LoadFailed
from inferd.models.assembling import assembler_of
from inferd.models.loaded import is_decoupled
from inferd.models.warmup_sender import Outcome, WarmupSender
from inferd.protocol import bytes_tensor
from inferd.protocol.datatypes import BY_CONFIG, Datatype
from inferd.protocol.messages import InferRequest
from inferd.protocol.signature import Signature
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.decoupled import execute_decoupled
from inferd.scheduling.execution import execute
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_state import SequenceStates

logger = logging.getLogger(__name__)

_SEED = 0
"""Every load warms up with the same random data, so that a failure can be repeated."""

_LENGTH_BYTES = 4
"""Bytes of an empty ``BYTES`` element: its length."""


def run(
    config: ModelConfig,
    version: int,
    directory: Path,
    instances: Sequence[tuple[str, Instance]],
    states: SequenceStates | None = None,
) -> None:
    """
    Execute every warm-up sample on every instance. Blocks.

    Args:
        config: The completed and validated config.
        version: The version the instances belong to.
        directory: The model's folder; data files are in its ``warmup`` folder.
        instances: The instances and their names.
        states: The implicit states of a sequence model.

    Raises:
        LoadFailed: A sample failed; the message names it and says why.
    """
    if not config.model_warmup:
        return
    signature = Signature.from_config(config)
    assembler = assembler_of(config, signature, version)
    for sample in config.model_warmup:
        if not sample.batch_size:
            logger.debug("Skipping batch 0 warmup sample '%s'", sample.name)
            continue
        try:
            requests = sample_requests(config, sample, signature, directory, states)
            for name, instance in instances:
                for iteration in range(1, max(sample.count, 1) + 1):
                    _log(config.name, name, sample, iteration)
                    _execute(instance, assembler, requests, decoupled=is_decoupled(config))
        except InferdError as error:
            raise LoadFailed(
                f"failed to run warmup sample '{sample.name}': {error.message};"
            ) from error


def sample_requests(
    config: ModelConfig,
    sample: ModelWarmup,
    signature: Signature,
    directory: Path,
    states: SequenceStates | None = None,
) -> list[InferRequest]:
    """
    Return a sample's requests, checked like a client's. Blocks when it has data files.

    Those of a sequence model are whole sequences of one request each, with the
    correlation ids 1, 2 and so on and the initial states.

    Raises:
        InvalidRequest: The sample does not fit the model, or a data file is missing or
            too small.
    """
    tensors = [*_initial(states), *_tensors(sample, signature.batches, directory)]
    controls = _controls(config, signature)
    requests: list[InferRequest] = []
    for number in range(1, sample.batch_size + 1):
        request = InferRequest(
            config.name, {tensor.name: tensor for tensor in tensors if _known(tensor, signature)}
        )
        signature.check(request)
        request.inputs.update((tensor.name, tensor) for tensor in tensors)
        if controls is not None:
            request.sequence_start = request.sequence_end = True
            request.sequence_id = controls.typed_id(number)
            controls.add_to(request)
        requests.append(request)
    return requests


def _known(tensor: Tensor, signature: Signature) -> bool:
    """Whether clients send the tensor; control and state inputs are not checked as theirs."""
    return tensor.name in signature.inputs


def _initial(states: SequenceStates | None) -> Iterator[Tensor]:
    for spec in states.specs if states is not None else ():
        yield Tensor(spec.input_name, spec.datatype, spec.initial.shape, array=spec.initial)


def _controls(config: ModelConfig, signature: Signature) -> SequenceControls | None:
    if config.sequence_batching is None:
        return None
    return SequenceControls.from_config(
        config.name, config.sequence_batching, batches=signature.batches
    )


def _tensors(sample: ModelWarmup, batches: bool, directory: Path) -> Iterator[Tensor]:
    random = np.random.default_rng(_SEED)
    for name, data in sample.inputs.items():
        datatype = BY_CONFIG[data.data_type]
        shape = (1, *data.dims) if batches else tuple(data.dims)
        count = math.prod(shape)
        if data.input_data_file is not None:
            raw = _file(directory / "warmup" / data.input_data_file, name, datatype, count)
        else:
            raw = _generated(data, name, datatype, count, random)
        yield Tensor(name, datatype.name, shape, raw=raw)


def _generated(
    data: ModelWarmupInput,
    name: str,
    datatype: Datatype,
    count: int,
    random: np.random.Generator,
) -> bytes:
    try:
        if data.zero_data is not None:
            return bytes(count * (datatype.itemsize or _LENGTH_BYTES))
        return random_bytes(datatype, count, random)
    except (MemoryError, OverflowError, ValueError) as error:
        raise InvalidRequest(
            f"input '{name}' has {count} elements, which do not fit into memory"
        ) from error


def _file(path: Path, name: str, datatype: Datatype, count: int) -> bytes:
    """Return a tensor's little-endian bytes; what the file has beyond them is left out."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"failed to open text file for read {path}: {error.strerror}"
        ) from error
    wanted = count * datatype.itemsize
    if len(raw) < wanted:
        raise InvalidRequest(
            f"warmup setting expects {wanted} bytes for input '{name}', but the data provided "
            f"from {path.name} only has {len(raw)} bytes"
        )
    return raw[:wanted] if datatype.itemsize else raw


def random_bytes(datatype: Datatype, count: int, random: np.random.Generator) -> bytes:
    """
    Return ``count`` random elements, little-endian.

    Integers are of any value, floats in [0, 1); ``BYTES`` elements are decimal numbers,
    which models that read numbers and models that read text both take.
    """
    kind = datatype.dtype.kind
    if datatype.name == "BYTES":
        numbers = random.integers(0, 100, count).tolist()
        return bytes_tensor.join(str(number) for number in numbers)
    if datatype.name == "BF16":
        # A bfloat16 is the upper half of a float32.
        return (random.random(count, np.float32).view("<u4") >> 16).astype("<u2").tobytes()
    if kind == "b":
        return random.integers(0, 2, count).astype(datatype.dtype).tobytes()
    if kind == "f":
        # Multiples that half precision can hold: a value just below 1 would be rounded to it.
        return (random.integers(0, 1024, count) / 1024).astype(datatype.dtype).tobytes()
    return random.bytes(count * datatype.itemsize)


def _execute(
    instance: Instance,
    assembler: Assembler,
    requests: Sequence[InferRequest],
    *,
    decoupled: bool,
) -> None:
    if decoupled:
        _execute_decoupled(instance, assembler, requests)
        return
    for answer in execute(instance, assembler, requests).answers:
        if isinstance(answer, InferdError):
            raise answer


def _execute_decoupled(
    instance: Instance, assembler: Assembler, requests: Sequence[InferRequest]
) -> None:
    """Execute a sample and wait for the end of its responses, unless it is to be continued."""
    outcomes = [Outcome() for _ in requests]
    senders = [WarmupSender(outcome) for outcome in outcomes]
    done = execute_decoupled(instance, assembler, requests, senders)
    del senders
    for index, outcome in enumerate(outcomes):
        if index not in (done.rescheduled or ()):
            outcome.over.wait()
        if outcome.error is not None:
            raise outcome.error


def _log(model: str, instance: str, sample: ModelWarmup, iteration: int) -> None:
    suffix = f" for iteration {iteration}" if sample.count > 1 else ""
    logger.debug(
        "model '%s' instance %s is running warmup sample '%s'%s",
        model,
        instance,
        sample.name,
        suffix,
    )
