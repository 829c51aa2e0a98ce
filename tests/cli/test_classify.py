"""Tests of ``inferd classify``."""

import numpy as np
import pytest
from PIL import Image

from inferd.cli import classify
from inferd.cli.classify import class_line

LABELS = ["COFFEE MUG", "CUP", "ESPRESSO"]


def by_brightness(labels):
    """Return a model's answer whose scores are a picture's mean, and that minus 1 and 2."""

    def answer(asked):
        ((_, pictures),) = asked.inputs.items()
        ((name, parameters),) = asked.outputs.items()
        rows = pictures if pictures.ndim == 4 else pictures[np.newaxis]
        count = int(parameters["classification"])
        classes = [
            [
                f"{row.mean() - rank:.6f}:{500 + rank}{labels[rank]}".encode()
                for rank in range(min(count, 3))
            ]
            for row in rows
        ]
        array = np.array(classes, object)
        return {name: ("BYTES", array if pictures.ndim == 4 else array[0])}

    return answer


@pytest.fixture
def add_model(server, fake_model):
    """Return a function that serves an image classifier."""

    def add(name="net", *, max_batch_size=0, shape=(3, 2, 2), image_format="FORMAT_NCHW", **more):
        batch = [-1] if max_batch_size else []
        labels = [f":{label}" for label in more.pop("labels", LABELS)]
        metadata = {
            "name": name,
            "inputs": [{"name": "data:0", "datatype": "FP32", "shape": [*batch, *shape]}],
            "outputs": [{"name": "scores:0", "datatype": "FP32", "shape": [*batch, 1, 3]}],
        } | more
        config = {
            "name": name,
            "max_batch_size": max_batch_size,
            "input": [{"name": "data:0", "data_type": "TYPE_FP32", "format": image_format}],
        }
        server.models[name] = fake_model(metadata, config, by_brightness(labels))
        return server.models[name]

    return add


@pytest.fixture
def picture(tmp_path):
    """Return a function that writes a picture of one colour."""

    def write(name, colour):
        path = tmp_path / name
        Image.new("RGB", (8, 8), colour).save(path)
        return path

    return write


@pytest.fixture
def run(server, run_cli, protocol):
    """Return a function that classifies with the fake server."""
    return lambda *arguments: run_cli(
        classify, "-i", protocol, "-u", server.url(protocol), *arguments
    )


def test_prints_classes_as_the_reference_does(run, add_model, picture):
    """Each request, each image and each class has its line, in the reference's form."""
    add_model()
    path = picture("mug.png", (9, 9, 9))
    outcome = run("-m", "net", "-c", "3", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "Request 0, batch size 1\n"
        f"Image '{path}':\n"
        "    9.000000 (500) = COFFEE MUG\n"
        "    8.000000 (501) = CUP\n"
        "    7.000000 (502) = ESPRESSO\n"
    )


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (b"0.5:504:CUP", "0.5 (504) = CUP"),
        (b"0.5:504", "0.5 (504)"),
        (b"-1.000000:3:TIME: NOON", "-1.000000 (3) = TIME: NOON"),
        (b"0.5:1:caf\xe9", "0.5 (1) = caf�"),
    ],
)
def test_class_line(entry, line):
    """A label may be missing, hold colons, or not be UTF-8."""
    assert class_line(entry) == line


def test_without_labels_only_the_index_is_printed(run, add_model, picture):
    """A model without a label file gives lines without an equals sign."""
    model = add_model()
    model.answer = by_brightness(["", "", ""])
    outcome = run("-m", "net", picture("a.png", (4, 4, 4)))
    assert outcome.out.endswith("    4.000000 (500)\n")


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("NONE", (0, 127, 255)),
        ("VGG", (-123, 10, 151)),
        ("inception", (-1, np.float32(127) / 127.5 - 1, 1)),
    ],
)
def test_pixels_reach_the_model_scaled(server, run, add_model, picture, scaling, expected):
    """The scaling decides what the model receives, channel by channel."""
    add_model()
    run("-m", "net", "-s", scaling, picture("a.png", (0, 127, 255)))
    (sent,) = server.asked[0].inputs.values()
    assert sent.shape == (3, 2, 2)
    np.testing.assert_array_equal(sent[:, 0, 0], np.array(expected, np.float32))


def test_the_last_batch_is_filled_up_from_the_start(server, run, add_model, picture):
    """Three pictures in batches of two make two requests, the second with the first again."""
    add_model(max_batch_size=2, shape=(2, 2, 3), image_format="FORMAT_NHWC")
    paths = [picture(f"{value}.png", (value,) * 3) for value in (10, 20, 30)]
    outcome = run("-m", "net", "-b", "2", *paths)
    assert [list(next(iter(asked.inputs.values()))[:, 0, 0, 0]) for asked in server.asked] == [
        [10, 20],
        [30, 10],
    ]
    assert outcome.out == (
        "Request 0, batch size 2\n"
        f"Image '{paths[0]}':\n    10.000000 (500) = COFFEE MUG\n"
        f"Image '{paths[1]}':\n    20.000000 (500) = COFFEE MUG\n"
        "Request 1, batch size 2\n"
        f"Image '{paths[2]}':\n    30.000000 (500) = COFFEE MUG\n"
        f"Image '{paths[0]}':\n    10.000000 (500) = COFFEE MUG\n"
    )


def test_one_picture_fills_a_whole_batch(server, run, add_model, picture):
    """A batch larger than the number of pictures repeats them."""
    add_model(max_batch_size=4)
    run("-m", "net", "-b", "3", picture("a.png", (5, 5, 5)))
    assert [next(iter(asked.inputs.values())).shape for asked in server.asked] == [(3, 3, 2, 2)]


def test_async_sends_every_request_before_waiting(server, run, add_model, picture):
    """With --async a server that answers only when all requests are there is answered."""
    add_model()
    server.hold = 3
    paths = [picture(f"{value}.png", (value,) * 3) for value in (1, 2, 3)]
    outcome = run("-m", "net", "--async", *paths)
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line.startswith("    ")] == [
        f"    {value}.000000 (500) = COFFEE MUG" for value in (1, 2, 3)
    ]


def test_streaming_uses_one_stream(server, run_cli, add_model, picture):
    """With --streaming every request goes over the same gRPC stream, in order."""
    add_model()
    paths = [picture(f"{value}.png", (value,) * 3) for value in (1, 2, 3)]
    address = ("-i", "grpc", "-u", server.url("grpc"))
    streamed = run_cli(classify, "-m", "net", *address, "--streaming", *paths)
    alone = run_cli(classify, "-m", "net", *address, *paths)
    assert (streamed.code, streamed.out) == (0, alone.out)
    assert server.streams == 1


def test_streaming_is_refused_over_http(server, run_cli, add_model, picture):
    """HTTP has no streams, which is said before anything is sent."""
    add_model()
    outcome = run_cli(classify, "-m", "net", "--streaming", picture("a.png", (1, 1, 1)))
    assert outcome.code == 2
    assert outcome.err == (
        "inferd classify: --streaming is only possible with the gRPC protocol: use -i grpc\n"
    )
    assert server.asked == []


def test_error_in_a_stream(server, run_cli, add_model, picture, refused):
    """An error answer within a stream is shown and ends the command with 1."""
    model = add_model()

    def refuse(asked):
        raise refused("Request timeout expired")

    model.answer = refuse
    url = server.url("grpc")
    outcome = run_cli(
        classify, "-m", "net", "-i", "GRPC", "-u", url, "--streaming", picture("a.png", (1, 1, 1))
    )
    assert (outcome.code, outcome.err) == (1, "inferd classify: Request timeout expired\n")


def test_stream_that_ends_early(server, run_cli, add_model, picture):
    """A request the stream never answered is named."""
    add_model()
    server.unanswered = 1
    paths = [picture(f"{value}.png", (value,) * 3) for value in (1, 2)]
    outcome = run_cli(
        classify, "-m", "net", "-i", "grpc", "-u", server.url("grpc"), "--streaming", *paths
    )
    assert outcome.code == 1
    assert outcome.err.endswith("the stream ended without a response to request 1\n")


def test_unknown_model(run, picture):
    """The server's own text is shown, without a traceback."""
    outcome = run("-m", "nothing", picture("a.png", (1, 1, 1)))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == ("inferd classify: Request for unknown model: 'nothing' is not found\n")


def test_version_is_passed_on(server, run, add_model, picture):
    """-x names the version that is to answer."""
    add_model()
    assert run("-m", "net", "-x", "7", picture("a.png", (1, 1, 1))).code == 0
    assert server.asked[0].version == "7"


def test_folder_stands_for_its_files(run, add_model, picture, tmp_path):
    """A folder's files are classified in the order of their names."""
    add_model()
    names = [f"{letter}.png" for letter in "hbecgadf"]
    for name in names:
        picture(name, (1, 1, 1))
    tmp_path.joinpath("folder").mkdir()
    outcome = run("-m", "net", tmp_path)
    images = [line for line in outcome.out.splitlines() if line.startswith("Image")]
    assert images == [f"Image '{tmp_path}/{name}':" for name in sorted(names)]


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_unreadable_picture(run, add_model, tmp_path, content):
    """A path that does not exist or holds no picture is named; exit code 2."""
    add_model()
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    outcome = run("-m", "net", path)
    assert outcome.code == 2
    assert str(path) in outcome.err


def test_empty_folder(run, tmp_path):
    """A folder without files is refused."""
    outcome = run("-m", "net", tmp_path)
    assert (outcome.code, outcome.err) == (
        2,
        "inferd classify: there is no picture in the folder\n",
    )


TENSOR = {"name": "t", "datatype": "FP32", "shape": [3, 2, 2]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": [TENSOR, TENSOR]}, "2 inputs"),
        ({"outputs": []}, "0 outputs"),
        ({"outputs": [TENSOR | {"datatype": "INT32", "shape": [3]}]}, "INT32, not FP32"),
        ({"outputs": [TENSOR | {"shape": [3, 3]}]}, "not a vector"),
        ({"inputs": [TENSOR | {"datatype": "BYTES"}]}, "not numeric"),
        ({"inputs": [TENSOR | {"shape": [2, 2]}]}, "3 dimensions"),
        ({"inputs": [TENSOR | {"shape": [4, 2, 2]}]}, "1 or 3 channels"),
    ],
)
def test_model_that_is_no_classifier(run, add_model, picture, changes, reason):
    """A model that does not take one picture and return one vector is refused, saying why."""
    add_model(**changes)
    outcome = run("-m", "net", picture("a.png", (1, 1, 1)))
    assert outcome.code == 2
    assert reason in outcome.err


def test_batches_need_a_model_that_batches(run, add_model, picture):
    """-b 2 is refused for a model without a batch dimension."""
    add_model()
    outcome = run("-m", "net", "-b", "2", picture("a.png", (1, 1, 1)))
    assert (outcome.code, outcome.err) == (
        2,
        "inferd classify: model 'net' does not batch: use -b 1\n",
    )


def test_pictures_of_two_sizes_do_not_batch(run, add_model, tmp_path):
    """A model that takes any size cannot take two sizes in one batch."""
    add_model(max_batch_size=2, shape=(3, -1, -1))
    for size in (4, 5):
        Image.new("RGB", (size, size)).save(tmp_path / f"{size}.png")
    outcome = run("-m", "net", "-b", "2", tmp_path)
    assert outcome.code == 2
    assert "two sizes" in outcome.err


def test_server_that_does_not_classify(run, add_model, picture):
    """Plain scores instead of classes are an error, not a crash."""
    model = add_model()
    model.answer = lambda asked: {"scores:0": ("FP32", np.zeros((1, 3), np.float32))}
    outcome = run("-m", "net", picture("a.png", (1, 1, 1)))
    assert outcome.code == 1
    assert "did not classify" in outcome.err


def test_verbose_keeps_standard_output_clean(run, add_model, picture):
    """-v says on standard error what the model is."""
    add_model()
    path = picture("a.png", (1, 1, 1))
    quiet, verbose = run("-m", "net", path), run("-m", "net", "-v", path)
    assert verbose.out == quiet.out
    assert "net" in verbose.err


@pytest.mark.parametrize("option", ["-b", "-c"])
def test_counts_must_be_positive(run, option, capsys):
    """Zero pictures per request and zero classes are refused as usage errors."""
    with pytest.raises(SystemExit) as exit_info:
        run("-m", "net", option, "0", "a.png")
    assert exit_info.value.code == 2
    assert "not a whole number above 0" in capsys.readouterr().err
