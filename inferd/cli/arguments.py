"""Options that several client commands have, and the values such options take."""

import argparse


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model is meant, in the reference clients' spelling."""
    parser.add_argument("-m", "--model-name", required=True, metavar="MODEL", help="the model")
    parser.add_argument(
        "-x", "--model-version", default="", metavar="VERSION", help="its version (default: latest)"
    )


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read ``NAME:DIM,DIM,...``."""
    name, _, dims = text.rpartition(":")
    try:
        found = tuple(int(dim) for dim in dims.split(","))
    except ValueError:
        found = ()
    if not name or not found or min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:DIM,DIM,...")
    return name, found


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
