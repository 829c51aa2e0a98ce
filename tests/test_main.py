"""The ``inferd`` command as a whole."""

import subprocess
import sys

import pytest

from inferd import __version__
from inferd.__main__ import build_parser, main


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["serve", "--nonsense", "1"], ["classify"], ["serve", "x"]]
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, capsys):
    """No usage dump, no traceback."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_help_lists_every_command(capsys):
    """And succeeds."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    text = capsys.readouterr().out
    assert caught.value.code == 0
    for command in ("serve", "samples", "classify", "infer", "models"):
        assert command in text


def test_the_version_is_the_packages(capsys):
    """Without starting anything."""
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"inferd {__version__}\n"


def test_a_bad_value_names_its_flag():
    """Exit code 2 for flags, files and variables alike."""
    command = [sys.executable, "-m", "inferd", "serve", "--model-repository", "/does/not/exist"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert run.returncode == 2
    assert run.stderr == "inferd: --model-repository: /does/not/exist is not a folder\n"


def test_every_command_says_what_runs_it():
    """No sub-command is registered without a function."""
    parser = build_parser()
    arguments = parser.parse_args(["models"])

    assert callable(arguments.run)


def test_heavy_libraries_are_not_imported_to_parse_a_command_line():
    """The start is fast because of it."""
    heavy = ("numba", "onnx", "onnxruntime", "PIL", "google.protobuf", "opentelemetry", "grpc")
    code = (
        "import sys, inferd.__main__ as m; m.build_parser(); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_no_client_is_imported_before_a_command_needs_it():
    """A server starts without waiting for libraries that only the other commands use."""
    code = (
        "import sys; from inferd.__main__ import build_parser; build_parser(); "
        "print([name for name in ('aiohttp', 'grpclib.client') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"
