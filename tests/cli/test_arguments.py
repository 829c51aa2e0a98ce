"""Tests of what the client commands' options have in common."""

import argparse

import pytest

from inferd.cli.arguments import add_model_arguments, positive, shape


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (shape, "a:0:1,16", ("a:0", (1, 16))),
        (shape, "a:0", ("a", (0,))),
        (positive, "1", 1),
    ],
)
def test_values(read, text, expected):
    """Values are read as their help says."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (shape, "a"),
        (shape, ":1"),
        (shape, "a:x"),
        (shape, "a:-1"),
        (positive, "0"),
        (positive, "-1"),
        (positive, "x"),
    ],
)
def test_bad_values(read, text):
    """What cannot be meant is refused with the text that was given."""
    with pytest.raises(argparse.ArgumentTypeError, match=repr(text)):
        read(text)


def test_model_options():
    """The model must be named; its version need not be."""
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)

    assert vars(parser.parse_args(["-m", "a"])) == {"model_name": "a", "model_version": ""}
    with pytest.raises(SystemExit):
        parser.parse_args(["-x", "1"])
