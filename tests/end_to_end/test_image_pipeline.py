"""A picture as clients have it, scaled by one model and classified by the next."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from client_process import run_client
from model_folders import tensors, write_model
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import inferd.samples

PICTURE = Path(inferd.samples.__file__).with_name("mug.jpg")
CLIENT = Path(__file__).with_name("clients") / "picture.py"
SIZE = 20
"""A divisor of the picture's size, so that both round to the same pixels."""

LABELS = [f"label {number}" for number in range(40)]
WEIGHTS = np.random.default_rng(0).normal(0, 0.05, (3 * SIZE * SIZE, len(LABELS))).astype("f4")


def write_onnx(repository: Path, name: str, nodes, given, made, constants, more: str = "") -> Path:
    """Write an ONNX model of one input and one output that batches."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(given[0], given[1], ["n", *given[2]])],
        [helper.make_tensor_value_info(made[0], TensorProto.FLOAT, ["n", *made[1]])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder = write_model(repository, name, f'backend: "onnxruntime" max_batch_size: 8 {more}')
    onnx.save(model, folder / "1" / "model.onnx")
    return folder


def labelled(name: str) -> str:
    """Return the output with a score for each label."""
    return tensors("output", name, "FP32", [len(LABELS)], 'label_filename: "labels.txt"')


def write_preprocess(repository: Path) -> None:
    """Write the model that scales pixels and puts their planes first."""
    write_onnx(
        repository,
        "preprocess",
        [
            helper.make_node("Cast", ["RAW"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Shape", ["planes"], ["shape"]),
            helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
            helper.make_node("Concat", ["rows", "rest"], ["sizes"], axis=0),
            helper.make_node(
                "Resize",
                ["planes", "", "", "sizes"],
                ["small"],
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            ),
            helper.make_node("Div", ["small", "half"], ["halves"]),
            helper.make_node("Sub", ["halves", "unit"], ["SCALED"]),
        ],
        ("RAW", TensorProto.UINT8, ["h", "w", 3]),
        ("SCALED", [3, SIZE, SIZE]),
        {
            "zero": np.array([0]),
            "one": np.array([1]),
            "rest": np.array([3, SIZE, SIZE]),
            "half": np.array(127.5, "f4"),
            "unit": np.array(1, "f4"),
        },
    )


def write_classifier(repository: Path) -> Path:
    """Write a linear classifier of scaled planes."""
    return write_onnx(
        repository,
        "classifier",
        [
            helper.make_node("Flatten", ["data_0"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["fc6_1"]),
        ],
        ("data_0", TensorProto.FLOAT, [3, SIZE, SIZE]),
        ("fc6_1", [len(LABELS)]),
        {"weights": WEIGHTS},
        tensors("input", "data_0", "FP32", [3, SIZE, SIZE], "format: FORMAT_NCHW")
        + labelled("fc6_1")
        + "dynamic_batching { }",
    )


def write_ensemble(repository: Path) -> Path:
    """Write the ensemble of both."""
    steps = "".join(
        f'step {{ model_name: "{model}" model_version: -1 '
        f'input_map {{ key: "{key}" value: "{reads}" }} '
        f'output_map {{ key: "{output}" value: "{writes}" }} }} '
        for model, key, reads, output, writes in (
            ("preprocess", "RAW", "PIXELS", "SCALED", "scaled"),
            ("classifier", "data_0", "scaled", "fc6_1", "SCORES"),
        )
    )
    return write_model(
        repository,
        "classify",
        'platform: "ensemble" max_batch_size: 8\n'
        + tensors("input", "PIXELS", "UINT8", [-1, -1, 3])
        + labelled("SCORES")
        + f"ensemble_scheduling {{ {steps} }}",
    )


@pytest.fixture(name="pipeline")
def _pipeline(tmp_path):
    """Preprocessing and a linear classifier, and the ensemble of both."""
    repository = tmp_path / "models"
    write_preprocess(repository)
    for folder in (write_classifier(repository), write_ensemble(repository)):
        (folder / "labels.txt").write_text("\n".join(LABELS))
    return repository


def best(pixels: np.ndarray) -> list[tuple[float, int]]:
    """Return score and class of the three best classes, as NumPy computes them."""
    height, width, _ = pixels.shape
    rows, columns = np.arange(0, height, height // SIZE), np.arange(0, width, width // SIZE)
    scaled = pixels[rows][:, columns].transpose(2, 0, 1) / np.float32(127.5) - 1
    scores = scaled.reshape(-1).astype("f4") @ WEIGHTS
    return [(float(scores[index]), int(index)) for index in np.argsort(-scores)[:3]]


def test_a_picture_is_classified_with_labels(pipeline, serve):
    """Over both protocols, as the models one after the other and NumPy say."""
    server = serve(pipeline).wait_ready()
    printed = run_client(CLIENT, server.http, server.grpc, str(PICTURE))
    with Image.open(PICTURE) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    wanted = [best(pixels), best(pixels[:, ::-1])]
    assert wanted[0] != wanted[1]

    for found in json.loads(printed).values():
        assert found["ensemble"] == found["models"]
        for row, expected in zip(found["ensemble"], wanted, strict=True):
            for text, (score, index) in zip(row, expected, strict=True):
                value, number, label = text.split(":")
                assert float(value) == pytest.approx(score, abs=1e-3)
                assert (int(number), label) == (index, LABELS[index])
