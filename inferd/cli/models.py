"""``inferd models``: the models a server knows, their versions and states."""

import argparse
import json
from collections.abc import Sequence

from inferd._generated.inference import RepositoryIndexResponseModelIndex
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command

_COLUMNS = ("MODEL", "VERSION", "STATE", "REASON")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "models",
        help="list a server's models, versions and states",
        description="List every version of every model in a server's model repositories.",
    )
    add_connection_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the repository index."""
    return run_command("models", _models(args))


async def _models(args: argparse.Namespace) -> None:
    async with connect(args.protocol, args.url) as client:
        index = await client.repository_index()
    if args.json:
        print(json.dumps([_entry(model) for model in index], indent=2))
        return
    rows = [(model.name, model.version, model.state, model.reason) for model in index]
    print(table([_COLUMNS, *rows]))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _entry(model: RepositoryIndexResponseModelIndex) -> dict[str, str]:
    entry = {
        "name": model.name,
        "version": model.version,
        "state": model.state,
        "reason": model.reason,
    }
    return {key: value for key, value in entry.items() if value}
