"""
Triton's start-up tables.

Scripts read them: a border is ``+---+``, a row ``| cell | cell |``. Columns share the
width fairly: one that needs less than its share leaves the rest to the others, and a
cell that is still too long goes on in the next line. Text from outside, such as the
reason a model failed, cannot break out of its cell.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final

WIDTH: Final = 500
"""Columns of a table nobody looks at on a terminal (Triton's)."""

_PADDING: Final = 3  # "| " before a cell and " " after it; one more "|" ends the row
_SMALLEST_COLUMN: Final = 8


def repository_agents(rows: Iterable[tuple[str, str]] = (), *, width: int = WIDTH) -> str:
    """Return the table of repository agents: name and path."""
    return table(("Repository Agent", "Path"), rows, width=width)


def backends(rows: Iterable[tuple[str, str, str]], *, width: int = WIDTH) -> str:
    """Return the table of backends: name, where it comes from, its configuration as JSON."""
    return table(("Backend", "Path", "Config"), rows, width=width)


def models(rows: Iterable[tuple[str, str, str]], *, width: int = WIDTH) -> str:
    """
    Return the table of models.

    Args:
        rows: Name, version (``-`` when none was found) and status: ``READY``,
            ``UNAVAILABLE: <reason>`` or ``Not loaded: <reason>``.
        width: Columns available.
    """
    return table(("Model", "Version", "Status"), rows, width=width)


def options(rows: Iterable[tuple[str, str]], *, width: int = WIDTH) -> str:
    """Return the table of the server's options and their values."""
    return table(("Option", "Value"), rows, width=width)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = WIDTH) -> str:
    """
    Return a table with borders, without a line break at the end.

    Args:
        headers: The column names; left out are none, even when there are no rows.
        rows: One text per column each.
        width: Columns available; too small a width is exceeded rather than obeyed.
    """
    cells = [[_lines(cell) for cell in row] for row in [headers, *rows]]
    needed = [max(len(line) for row in cells for line in row[i]) for i in range(len(headers))]
    widths = fair_shares(needed, width - _PADDING * len(headers) - 1)
    border = "+" + "+".join("-" * (column + 2) for column in widths) + "+"
    head, *body = (_row(row, widths) for row in cells)
    return "\n".join([border, *head, border, *(line for row in body for line in row), border])


def fair_shares(needed: Sequence[int], available: int) -> list[int]:
    """
    Return the columns' widths: what they need, or an equal share of what is left.

    Columns are served from the smallest need on, so what one leaves over goes to the
    larger ones.
    """
    shares = [0] * len(needed)
    for served, index in enumerate(sorted(range(len(needed)), key=lambda i: needed[i])):
        share = max(available // (len(needed) - served), _SMALLEST_COLUMN)
        shares[index] = min(needed[index], share)
        available -= shares[index]
    return shares


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    columns = [_wrap(lines, width) for lines, width in zip(cells, widths, strict=True)]
    return [
        "| " + " | ".join(f"{p:<{width}}" for p, width in zip(parts, widths, strict=True)) + " |"
        for parts in zip_longest(*columns, fillvalue="")
    ]


def _wrap(lines: Sequence[str], width: int) -> list[str]:
    return [line[i : i + width] for line in lines for i in range(0, max(len(line), 1), width)]


def _lines(cell: str) -> list[str]:
    """Split a cell at its line breaks and spell every other control character out."""
    lines = cell.rstrip("\n").split("\n")
    return ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines]
