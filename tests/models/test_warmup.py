"""Warm-up samples, from config to execution."""

import logging

import numpy as np
import pytest

from inferd._generated import inference as pb
from inferd.errors import BackendError, LoadFailed
from inferd.models import warmup
from inferd.models.model_config import parse_text
from inferd.models.sequence_batching import read_states
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.signature import Signature
from inferd.testing.server import InMemoryServer
from tests.models.warming import SEQUENCES, Recorder, execute, text


def test_a_model_without_samples_is_not_executed(tmp_path):
    """The ordinary case."""
    assert execute("", tmp_path).batches == []


@pytest.mark.parametrize(("count", "executions"), [(0, 1), (1, 1), (2, 2)])
def test_a_sample_runs_count_times_on_every_instance(tmp_path, caplog, count, executions):
    """A count of 0 is 1, and the log says which execution it is."""
    instances = [("m_0", Recorder()), ("m_1", Recorder())]
    with caplog.at_level(logging.DEBUG):
        warmup.run(parse_text(text(count=count), "m"), 1, tmp_path, instances)

    assert [len(instance.batches) for _, instance in instances] == [executions, executions]
    line = "model 'm' instance m_1 is running warmup sample 'sample'"
    last = f"{line} for iteration {count}" if count > 1 else line
    assert caplog.messages[-1] == last
    assert len(caplog.messages) == 2 * executions


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_batch_size_is_that_many_requests_in_one_execution(tmp_path, batch):
    """Each of one row."""
    ((size, inputs),) = execute(text(batch=batch), tmp_path).batches

    assert size == batch
    assert inputs["INPUT0"].tolist() == [[0, 0, 0]] * batch


def test_a_batch_size_of_0_skips_the_sample(tmp_path, caplog):
    """The verbose log says so."""
    with caplog.at_level(logging.DEBUG):
        assert execute(text(batch=0), tmp_path).batches == []

    assert caplog.messages == ["Skipping batch 0 warmup sample 'sample'"]


@pytest.mark.parametrize("datatype", [name for name in BY_NAME if name != "BYTES"])
@pytest.mark.parametrize("data", ["zero_data: true", "random_data: true"])
async def test_every_datatype_warms_up_and_then_answers(tmp_path, datatype, data):
    """With zeros and with random elements."""
    folder = tmp_path / "m"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(text(data, datatype, batch=3))
    array = np.zeros((1, 3), BY_NAME[datatype].dtype)
    async with InMemoryServer(tmp_path) as server:
        outputs = await server.infer("m", {"INPUT0": array})
        (statistics,) = server.dataplane.model_statistics("m", "")

    assert outputs["OUTPUT0"].tolist() == array.tolist()
    assert statistics.inference_count == statistics.execution_count == 1


@pytest.mark.parametrize(
    ("data", "readable"), [("zero_data: true", False), ("random_data: true", True)]
)
def test_text_is_empty_or_random_numbers(tmp_path, data, readable):
    """Models that read text and models that read numbers take the random ones."""
    ((_, inputs),) = execute(text(data, "STRING"), tmp_path).batches
    elements = inputs["INPUT0"].ravel().tolist()

    assert len(elements) == 3
    assert all(element.isdigit() for element in elements) is readable
    assert readable or elements == [b""] * 3


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_random_floats_are_from_0_to_below_1(datatype):
    """In every precision, and they differ."""
    raw = warmup.random_bytes(BY_NAME[datatype], 5000, np.random.default_rng(1))
    values = np.frombuffer(raw, BY_NAME[datatype].dtype)

    assert len(values) == 5000
    assert 0 <= values.min() < values.max() < 1


def test_random_bfloats_are_from_0_to_below_1():
    """Although NumPy has no such type."""
    raw = warmup.random_bytes(BY_NAME["BF16"], 5000, np.random.default_rng(1))
    values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")

    assert len(values) == 5000
    assert 0 <= values.min() < values.max() < 1


def test_random_booleans_and_integers_take_all_their_values():
    """Booleans are 0 or 1 only."""
    random = np.random.default_rng(1)
    booleans = warmup.random_bytes(BY_NAME["BOOL"], 1000, random)
    integers = np.frombuffer(warmup.random_bytes(BY_NAME["INT8"], 5000, random), "i1")

    assert set(booleans) == {0, 1}
    assert (integers.min(), integers.max()) == (-128, 127)


def test_random_data_is_the_same_at_every_load(tmp_path):
    """A failure can be repeated."""
    first, second = (execute(text("random_data: true"), tmp_path).batches for _ in range(2))

    assert first[0][1]["INPUT0"].tolist() == second[0][1]["INPUT0"].tolist()


@pytest.mark.parametrize("more", [b"", b"rest"])
def test_data_comes_from_a_file_of_the_model(tmp_path, more):
    """Little-endian; what is left over is ignored."""
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "data").write_bytes(np.arange(3, dtype="<i4").tobytes() + more)
    ((_, inputs),) = execute(text('input_data_file: "data"'), tmp_path).batches

    assert inputs["INPUT0"].tolist() == [[0, 1, 2]]


def test_text_from_a_file_has_lengths(tmp_path):
    """As on the wire."""
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "data").write_bytes(b"\1\0\0\0a\0\0\0\0\2\0\0\0bc")
    ((_, inputs),) = execute(text('input_data_file: "data"', "STRING"), tmp_path).batches

    assert inputs["INPUT0"].tolist() == [[b"a", b"", b"bc"]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"failed to open text file for read .*warmup.data: No such file or directory;"),
        (
            b"x" * 11,
            "warmup setting expects 12 bytes for input 'INPUT0', but the data provided from data "
            "only has 11 bytes;",
        ),
    ],
)
def test_a_file_that_does_not_do_fails_the_load(tmp_path, content, reason):
    """The sample is named."""
    (tmp_path / "warmup").mkdir()
    if content is not None:
        (tmp_path / "warmup" / "data").write_bytes(content)

    with pytest.raises(LoadFailed, match=f"failed to run warmup sample 'sample': {reason}"):
        execute(text('input_data_file: "data"'), tmp_path)


def test_a_sample_that_does_not_fit_the_model_fails_the_load(tmp_path):
    """With what a client would be told."""
    config = text().replace("dims: [ -1 ]", "dims: [ 2 ]")

    with pytest.raises(
        LoadFailed, match=r"warmup sample 'sample': .*Expected \[-1,2\], got \[1,3\]"
    ):
        execute(config, tmp_path)


@pytest.mark.parametrize("data", ["zero_data: true", "random_data: true"])
@pytest.mark.parametrize("datatype", ["INT32", "FP32", "STRING"])
def test_a_sample_beyond_any_memory_fails_the_load(tmp_path, data, datatype):
    """With the input and its size, and before anything is executed."""
    config = text(data, datatype).replace("dims: [ 3 ]", f"dims: [ {2**62}, 2 ]")

    with pytest.raises(
        LoadFailed, match=rf"input 'INPUT0' has {2**63} elements, which do not fit into memory"
    ):
        execute(config, tmp_path)


def test_a_backend_that_fails_fails_the_load(tmp_path):
    """With the backend's reason."""
    with pytest.raises(LoadFailed, match="failed to run warmup sample 'sample': out of order;"):
        execute(text(), tmp_path, Recorder(BackendError("out of order")))


@pytest.mark.parametrize(
    ("datatype", "ids"), [("UINT64", [[1], [2]]), ("STRING", [[b"1"], [b"2"]])]
)
def test_samples_of_sequence_models_are_whole_sequences(tmp_path, datatype, ids):
    """They start, end, are ready and have correlation ids of the right kind."""
    config = text(batch=2) + SEQUENCES % datatype
    ((size, inputs),) = execute(config, tmp_path).batches

    assert size == 2
    assert inputs["ID"].tolist() == ids
    for control in ("START", "END", "READY"):
        assert inputs[control].tolist() == [[1], [1]]


def test_a_sample_may_carry_inputs_that_clients_do_not_send(tmp_path):
    """Such as the state of a sequence; control inputs are the server's all the same."""
    config = parse_text(text() + SEQUENCES % "UINT64", "m")
    (sample,) = config.model_warmup
    for name, dims in (("STATE", [5]), ("START", [1])):
        sample.inputs[name] = pb.ModelWarmupInput(
            data_type=pb.DataType.TYPE_INT32, dims=dims, zero_data=True
        )
    (request,) = warmup.sample_requests(config, sample, Signature.from_config(config), tmp_path)

    assert request.inputs["STATE"].shape == (1, 5)
    assert request.inputs["START"].array().tolist() == [[1]]


@pytest.mark.parametrize(("given", "value"), [(False, 7), (True, 0)])
def test_states_of_sequence_models_begin_as_they_would(tmp_path, given, value):
    """With their initial value, unless the sample has another."""
    state = """
      state { input_name: "IN" output_name: "OUT" data_type: TYPE_INT32 dims: [ 1 ]
        initial_state { name: "i" data_type: TYPE_INT32 dims: [ 1 ] data_file: "seven" } }
    """
    config = parse_text(text(batch=2) + "sequence_batching {" + state + "}", "m")
    (sample,) = config.model_warmup
    if given:
        sample.inputs["IN"] = pb.ModelWarmupInput(
            data_type=pb.DataType.TYPE_INT32, dims=[1], zero_data=True
        )
    (tmp_path / "initial_state").mkdir()
    (tmp_path / "initial_state" / "seven").write_bytes(b"\7\0\0\0")
    instance = Recorder()
    warmup.run(config, 1, tmp_path, [("m_0", instance)], read_states(config, tmp_path))
    ((size, inputs),) = instance.batches

    assert size == 2
    assert inputs["IN"].tolist() == [[value], [value]]


def test_models_that_do_not_batch_get_the_shape_as_it_is(tmp_path):
    """Without a batch dimension."""
    config = text().replace("max_batch_size: 4", "")
    ((size, inputs),) = execute(config, tmp_path).batches

    assert (size, inputs["INPUT0"].shape) == (1, (3,))


async def test_a_version_whose_warm_up_fails_is_unavailable(tmp_path):
    """The index has the reason, and other models serve."""
    for name, config in (("bad", text('input_data_file: "no"')), ("good", text())):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(config.replace('"m"', f'"{name}"'))
    async with InMemoryServer(tmp_path, models=["good"]) as server:
        with pytest.raises(LoadFailed):
            await server.dataplane.load_model("bad")
        index = {entry.name: entry for entry in server.dataplane.repository_index(False)}

    assert index["good"].state == "READY"
    assert index["bad"].state == "UNAVAILABLE"
    assert "failed to run warmup sample 'sample': failed to open" in index["bad"].reason
