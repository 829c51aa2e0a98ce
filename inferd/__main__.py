"""The ``inferd`` command: parses the command line and runs one sub-command."""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from inferd import __version__
from inferd.errors import ConfigError


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that names the option, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every sub-command; imports all of them."""
    from inferd.cli import bench, classify, infer, models, samples, serve

    parser = _Parser(
        prog="inferd",
        description="Serve Triton model repositories over HTTP and gRPC, and talk to such servers.",
    )
    parser.add_argument("--version", action="version", version=f"inferd {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (serve, samples, classify, infer, models, bench):
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Returns:
        The exit code: 2 for a bad flag, file or environment variable.
    """
    # Imports make many objects and no garbage; collections would take a tenth of their time.
    gc.disable()
    arguments = build_parser().parse_args(argv)
    gc.enable()
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except ConfigError as error:
        print(f"inferd: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
