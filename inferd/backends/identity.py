"""
The built-in backend whose outputs are its inputs.

It has no model file: ``OUTPUTi`` is ``INPUTi`` for any number of tensors of any datatype
and shape. It is for trying out clients, schedulers and repositories, and has the
parameters of Triton's backend of the same name.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from inferd.backend import (
    API_VERSION,
    Backend,
    BackendError,
    Batch,
    Instance,
    Model,
    ModelContext,
    Placement,
)
from inferd.protocol.messages import ParameterValue

Array = npt.NDArray[Any]

_RESPONSE_PARAMETERS: dict[str, ParameterValue] = {
    "param0": "an example string parameter",
    "param1": 42,
    "param2": False,
    "param3": 123.123,
}


class IdentityBackend(Backend):
    """Answers every request with its own inputs."""

    API_VERSION = API_VERSION

    def load(self, context: ModelContext) -> Model:
        """
        Make a model from its config alone.

        Raises:
            BackendError: The config has more outputs than inputs, or names them
                differently, or a parameter is not a number.
        """
        return IdentityModel(context)


class IdentityModel(Model):
    """
    One version of an identity model.

    The model parameters are ``execute_delay_ms``, ``instance_wise_delay_multiplier`` (the
    delay of instance ``i`` is multiplied by ``i`` times this) and ``creation_delay_sec``.

    Args:
        context: The version to load.
        sleep: Waits for a number of seconds.
    """

    def __init__(self, context: ModelContext, sleep: Callable[[float], None] = time.sleep) -> None:
        self._source = _sources(context)
        self._delay_ms = _number(context, "execute_delay_ms")
        self._multiplier = _number(context, "instance_wise_delay_multiplier")
        self._creation_delay_s = _number(context, "creation_delay_sec")
        self._sleep = sleep
        self._instances = 0
        self._lock = threading.Lock()

    def create_instance(self, placement: Placement) -> Instance:
        """Make an instance; instances count up from 0 over all instance groups."""
        with self._lock:
            index = self._instances
            self._instances += 1
        if self._creation_delay_s:
            self._sleep(self._creation_delay_s)
        delay_s = self._delay_ms * max(self._multiplier * index, 1) / 1000
        return IdentityInstance(self._source, delay_s, self._sleep)


class IdentityInstance(Instance):
    """
    One instance of an identity model.

    Args:
        source: Output name -> the input it repeats.
        delay_s: How long an execution takes, in seconds.
        sleep: Waits for a number of seconds.
    """

    __slots__ = ("_delay_s", "_sleep", "_source")

    def __init__(
        self, source: dict[str, str], delay_s: float, sleep: Callable[[float], None]
    ) -> None:
        self._source = source
        self._delay_s = delay_s
        self._sleep = sleep

    def execute(self, batch: Batch) -> Sequence[Array]:
        """
        Return the inputs of the requested outputs; read-only arrays are not copied.

        Raises:
            BackendError: The request left out an input whose output it asks for.
        """
        if self._delay_s:
            self._sleep(self._delay_s)
        for index in range(len(batch.requests)):
            batch.set_parameters(index, _RESPONSE_PARAMETERS.copy())
        return [_lasting(self._input(batch, name)) for name in batch.output_names]

    def _input(self, batch: Batch, output: str) -> Array:
        name = self._source[output]
        try:
            return batch.inputs[name]
        except KeyError:
            raise BackendError(f"output '{output}' needs input '{name}'") from None


def _lasting(array: Array) -> Array:
    # A read-only array is a view on received bytes, which never change; a writeable one is a
    # buffer that the next batch may be gathered into.
    return array.copy() if array.flags.writeable else array


def _sources(context: ModelContext) -> dict[str, str]:
    inputs = {tensor.name for tensor in context.config.input}
    sources: dict[str, str] = {}
    for output in context.config.output:
        source = output.name.replace("OUTPUT", "INPUT", 1)
        if source not in inputs:
            raise BackendError(
                f"model '{context.name}' has output '{output.name}' but no input '{source}'"
            )
        sources[output.name] = source
    return sources


def _number(context: ModelContext, key: str) -> float:
    text = context.parameter(key, "0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise BackendError(
            f"parameter '{key}' of model '{context.name}' must be a number of at least 0, "
            f"got '{text}'"
        )
    return value
