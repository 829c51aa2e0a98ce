"""Tests of ``inferd infer``."""

import json

import numpy as np
import pytest
from PIL import Image

from inferd._generated.inference import ModelMetadataResponse
from inferd.cli import infer
from inferd.cli.infer import requested_output


@pytest.fixture
def run(server, run_cli, protocol):
    """Return a function that infers with the fake server."""
    return lambda *arguments: run_cli(infer, "-i", protocol, "-u", server.url(protocol), *arguments)


@pytest.fixture
def echo(server, fake_model):
    """Return a function that serves a model which answers its one input."""

    def add(datatype, shape, *, max_batch_size=0):
        tensor = {"datatype": datatype, "shape": shape}
        server.models["echo"] = fake_model(
            {
                "name": "echo",
                "inputs": [{"name": "IN", **tensor}],
                "outputs": [{"name": "OUT", **tensor}],
            },
            {"name": "echo", "max_batch_size": max_batch_size},
            lambda asked: {"OUT": (datatype, asked.inputs["IN"])},
        )

    return add


@pytest.mark.usefixtures("add_sub")
def test_prints_every_output(run):
    """Model, version, and each output's name, datatype, shape and values are printed."""
    outcome = run("-m", "simple", "--input", "INPUT0=1,2,3,4", "--input", "INPUT1=[1,1,1,1]")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "simple version 1\n"
        "OUTPUT0 INT32 [1,4]\n[[2, 3, 4, 5]]\n"
        "OUTPUT1 INT32 [1,4]\n[[0, 1, 2, 3]]\n"
    )


@pytest.mark.usefixtures("add_sub")
def test_request_options_reach_the_server(server, run):
    """Id, version, sequence flags, priority, timeout, parameters and outputs are sent."""
    outcome = run(
        *("-m", "simple", "-x", "3", "--id", "q1"),
        *("--input", "INPUT0=1,2,3,4", "--input", "INPUT1=1,1,1,1"),
        *("--sequence-id", "42", "--sequence-start", "--priority", "2", "--timeout", "500"),
        *("--parameter", "deep=true", "--parameter", "n=3", "--parameter", "x=0.5"),
        *("--parameter", "who=me=you", "--parameter", "list=[1]", "--parameter", "nan=NaN"),
        *("--output", "OUTPUT1", "--output", "OUTPUT0:5"),
    )
    assert outcome.code == 0
    (asked,) = server.asked
    assert (asked.version, asked.id) == ("3", "q1")
    assert asked.parameters == {
        "sequence_id": 42,
        "sequence_start": True,
        "sequence_end": False,
        "priority": 2,
        "timeout": 500,
        "deep": True,
        "n": 3,
        "x": 0.5,
        "who": "me=you",
        "list": "[1]",
        "nan": "NaN",
    }
    assert list(asked.outputs) == ["OUTPUT1", "OUTPUT0"]
    assert asked.outputs["OUTPUT0"]["classification"] == 5


@pytest.mark.usefixtures("add_sub")
def test_textual_sequence_id(server, run):
    """A correlation id that is not a number is sent as text."""
    run("-m", "simple", "--input", "INPUT0=1,2,3,4", "--input", "INPUT1=1,1,1,1",
        "--sequence-id", "a7", "--sequence-end")  # fmt: skip
    assert server.asked[0].parameters["sequence_id"] == "a7"
    assert server.asked[0].parameters["sequence_end"] is True


def test_json(run, echo):
    """--json prints the response as the protocol has it, with every value."""
    echo("INT32", [-1])
    outcome = run("-m", "echo", "--json", "--id", "7", "--input", f"IN={list(range(2000))}")
    document = json.loads(outcome.out)
    assert document["id"] == "7"
    assert document["outputs"] == [
        {"name": "OUT", "datatype": "INT32", "shape": [2000], "data": list(range(2000))}
    ]


def test_long_outputs_are_shortened(run, echo):
    """Long outputs are shortened in the middle unless --full is given."""
    echo("INT32", [-1])
    values = ",".join(map(str, range(500)))
    short = run("-m", "echo", "--input", f"IN={values}")
    full = run("-m", "echo", "--full", "--input", f"IN={values}")
    assert "..." in short.out
    assert "250" not in short.out
    assert "250" in full.out


@pytest.mark.usefixtures("add_sub")
def test_save(run, tmp_path):
    """--save writes an output to a NumPy file."""
    path = tmp_path / "sum.npy"
    outcome = run(
        "-m", "simple", "--input", "INPUT0=1,2,3,4", "--input", "INPUT1=1,1,1,1",
        "--save", f"OUTPUT0={path}",
    )  # fmt: skip
    assert outcome.code == 0
    np.testing.assert_array_equal(np.load(path), [[2, 3, 4, 5]])


@pytest.mark.usefixtures("add_sub")
def test_save_of_an_unknown_output(run):
    """Saving an output that did not come is an error that lists those that did."""
    outcome = run(
        "-m", "simple", "--input", "INPUT0=1,2,3,4", "--input", "INPUT1=1,1,1,1", "--save", "X=y"
    )
    assert outcome.code == 2
    assert "OUTPUT0, OUTPUT1" in outcome.err


def test_picture_input(server, run, echo, tmp_path):
    """A picture is made to fit the input, with a batch dimension where the model batches."""
    echo("FP32", [-1, 2, 2, 3], max_batch_size=4)
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (255, 255, 255)).save(path)
    outcome = run("-m", "echo", "--scaling", "INCEPTION", "--input", f"IN=@{path}")
    assert outcome.code == 0
    np.testing.assert_array_equal(server.asked[0].inputs["IN"], np.ones((1, 2, 2, 3)))


def test_shape_option(server, run, echo):
    """--shape says how values without a shape are laid out, also for names with colons."""
    echo("INT32", [-1, -1])
    outcome = run("-m", "echo", "--input", "IN=1,2,3,4", "--shape", "IN:2,2")
    assert outcome.code == 0
    assert server.asked[0].inputs["IN"].tolist() == [[1, 2], [3, 4]]


def test_text_output(run, echo):
    """BYTES are printed as text; bytes that are not UTF-8 are escaped."""
    echo("BYTES", [-1])
    outcome = run("-m", "echo", "--input", 'IN=["é", "b,c"]')
    assert outcome.out == "echo version 1\nOUT BYTES [2]\n['é', 'b,c']\n"


def test_unknown_model(run):
    """The server's own text is shown and the exit code is 1."""
    outcome = run("-m", "nothing")
    assert (outcome.code, outcome.err) == (
        1,
        "inferd infer: Request for unknown model: 'nothing' is not found\n",
    )


@pytest.mark.usefixtures("add_sub")
def test_unknown_input(run):
    """An input the model lacks is refused with the names it has."""
    outcome = run("-m", "simple", "--input", "X=1")
    assert (outcome.code, outcome.err) == (
        2,
        "inferd infer: the model has no input 'X'; it has INPUT0, INPUT1\n",
    )


@pytest.mark.parametrize(
    ("text", "name", "classes"),
    [
        ("scores:0", "scores:0", 0),
        ("scores:0:3", "scores:0", 3),
        ("plain", "plain", 0),
        ("plain:2", "plain", 2),
        ("plain:x", "plain:x", 0),
    ],
)
def test_requested_output(text, name, classes):
    """A number after the last colon is a class count unless the whole text is an output."""
    metadata = ModelMetadataResponse.from_dict(
        {"outputs": [{"name": "scores:0"}, {"name": "plain"}]}
    )
    output = requested_output(text, metadata)
    assert (output.name, output.classification) == (name, classes)


@pytest.mark.parametrize(
    "arguments",
    [("--input", "X"), ("--input", "=1"), ("--shape", "X"), ("--shape", "X:1,-1"), ("--save", "X")],
)
def test_malformed_arguments(run, arguments, capsys):
    """Arguments of the wrong form are usage errors that name the form."""
    with pytest.raises(SystemExit) as exit_info:
        run("-m", "simple", *arguments)
    assert exit_info.value.code == 2
    assert arguments[1] in capsys.readouterr().err
