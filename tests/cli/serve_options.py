"""The server's command line as tests read it."""

import argparse

import pytest

from inferd.cli.options import add_serve_arguments, config_from_args
from inferd.errors import ConfigError

BASE = ("--model-repository=/models",)


def parser():
    """Return a parser that raises instead of ending the program."""
    made = argparse.ArgumentParser("inferd serve", exit_on_error=False)
    add_serve_arguments(made)
    return made


def parse(*flags, warnings=None, **environ):
    """Return the configuration; a keyword is an environment variable."""
    warn = [].append if warnings is None else warnings.append
    return config_from_args(parser().parse_args([*BASE, *flags]), environ, warn=warn)


def refusal(*flags, **environ):
    """Return why the command line is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(*flags, **environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)
