"""The identity backend repeats its inputs and takes the time it is told to."""

from pathlib import Path

import numpy as np
import pytest

from inferd._generated.inference import DataType, ModelConfig, ModelInput, ModelOutput
from inferd._generated.inference import ModelParameter as Parameter
from inferd.backend import (
    BackendError,
    Batch,
    ModelContext,
    ModelInstanceGroupKind,
    Placement,
)
from inferd.backends.identity import IdentityBackend, IdentityModel
from inferd.protocol.messages import InferRequest


def context(parameters: dict[str, str] | None = None, outputs=("OUTPUT0", "OUTPUT1")):
    """Return an identity model with two inputs."""
    config = ModelConfig(
        name="echo",
        backend="identity",
        max_batch_size=8,
        input=[
            ModelInput(name=f"INPUT{i}", data_type=DataType.TYPE_FP32, dims=[-1]) for i in range(2)
        ],
        output=[ModelOutput(name=n, data_type=DataType.TYPE_FP32, dims=[-1]) for n in outputs],
        parameters={k: Parameter(string_value=v) for k, v in (parameters or {}).items()},
    )
    return ModelContext("echo", 1, config, Path("echo"), Path("echo/1"))


def placement(name: str = "echo_0") -> Placement:
    """Return a place on the CPU."""
    return Placement(name, ModelInstanceGroupKind.CPU)


def read_only(values) -> np.ndarray:
    """Return an array like one that arrived from a client."""
    array = np.array(values, np.float32)
    array.setflags(write=False)
    return array


def batch_of(inputs: dict[str, np.ndarray], outputs=("OUTPUT0", "OUTPUT1"), requests=1) -> Batch:
    """Return a batch of that many requests."""
    rows = len(next(iter(inputs.values())))
    return Batch(inputs, outputs, rows, [InferRequest("echo", {}) for _ in range(requests)])


class TestExecute:
    """Outputs are inputs."""

    def test_returns_received_arrays_themselves(self):
        """Tensors of a client are sent back without a copy, in the order asked for."""
        first, second = read_only([[1]]), read_only([[2]])
        instance = IdentityBackend({}).load(context()).create_instance(placement())

        outputs = instance.execute(
            batch_of({"INPUT0": first, "INPUT1": second}, ["OUTPUT1", "OUTPUT0"])
        )

        assert outputs[0] is second
        assert outputs[1] is first

    def test_copies_what_the_server_may_overwrite(self):
        """An answer does not change when its input buffer is used for the next batch."""
        buffer = np.array([[1], [2]], np.float32)
        instance = IdentityBackend({}).load(context()).create_instance(placement())

        (output,) = instance.execute(batch_of({"INPUT0": buffer}, ["OUTPUT0"]))
        buffer[:] = 9

        assert output.tolist() == [[1], [2]]

    @pytest.mark.parametrize(
        "array",
        [
            np.array([[b"a\0\xff", b""]], object),
            np.zeros((1, 0), np.int8),
            np.array([[0x3F80]], np.uint16),
        ],
        ids=["BYTES", "empty", "BF16"],
    )
    def test_takes_any_datatype_and_shape(self, array):
        """Identity knows no datatypes: what goes in comes out."""
        instance = IdentityBackend({}).load(context()).create_instance(placement())

        (output,) = instance.execute(batch_of({"INPUT0": array}, ["OUTPUT0"]))

        assert output.dtype == array.dtype
        assert output.tolist() == array.tolist()

    def test_answers_carry_example_parameters(self):
        """Every request of a batch gets the four example response parameters."""
        instance = IdentityBackend({}).load(context()).create_instance(placement())
        batch = batch_of({"INPUT0": read_only([[1], [2]])}, ["OUTPUT0"], requests=2)

        instance.execute(batch)

        expected = {
            "param0": "an example string parameter",
            "param1": 42,
            "param2": False,
            "param3": 123.123,
        }
        assert batch.parameters == {0: expected, 1: expected}

    def test_missing_optional_input(self):
        """Asking for the output of an input that was left out names both."""
        instance = IdentityBackend({}).load(context()).create_instance(placement())

        with pytest.raises(BackendError, match="output 'OUTPUT1' needs input 'INPUT1'"):
            instance.execute(batch_of({"INPUT0": read_only([[1]])}))


class TestDelays:
    """The parameters that make it slow."""

    def test_execute_delay(self):
        """An execution takes execute_delay_ms."""
        slept: list[float] = []
        model = IdentityModel(context({"execute_delay_ms": "250"}), slept.append)

        model.create_instance(placement()).execute(batch_of({"INPUT0": read_only([[1]])}, []))

        assert slept == [0.25]

    def test_instance_wise_multiplier(self):
        """Instance i takes i times the multiplied delay; the first takes the delay itself."""
        slept: list[float] = []
        model = IdentityModel(
            context({"execute_delay_ms": "100", "instance_wise_delay_multiplier": "2"}),
            slept.append,
        )

        for index in range(3):
            instance = model.create_instance(placement(f"group_{index}"))
            instance.execute(batch_of({"INPUT0": read_only([[1]])}, []))

        assert slept == [0.1, 0.2, 0.4]

    def test_creation_delay(self):
        """Making an instance takes creation_delay_sec."""
        slept: list[float] = []

        IdentityModel(context({"creation_delay_sec": "3"}), slept.append).create_instance(
            placement()
        )

        assert slept == [3]

    def test_no_delay_does_not_sleep(self):
        """Without parameters nothing waits."""
        slept: list[float] = []
        model = IdentityModel(context(), slept.append)

        model.create_instance(placement()).execute(batch_of({"INPUT0": read_only([[1]])}, []))

        assert slept == []

    @pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
    def test_bad_number(self, value):
        """A delay that is no number names the parameter, the model and the value."""
        with pytest.raises(BackendError) as caught:
            IdentityBackend({}).load(context({"execute_delay_ms": value}))

        assert caught.value.message == (
            "parameter 'execute_delay_ms' of model 'echo' must be a number of at least 0, "
            f"got '{value}'"
        )


class TestLoad:
    """What a config must have."""

    def test_output_without_its_input(self):
        """A config whose outputs do not mirror its inputs fails to load, naming both."""
        with pytest.raises(BackendError) as caught:
            IdentityBackend({}).load(context(outputs=("OUTPUT7",)))

        assert caught.value.message == "model 'echo' has output 'OUTPUT7' but no input 'INPUT7'"

    def test_config_is_not_completed(self):
        """There is no file to learn a config from, so it stays as it is."""
        given = context()

        assert IdentityBackend({}).complete_config(given) == given.config
