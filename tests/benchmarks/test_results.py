"""The committed figures and what the README says of them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"


def rows(path):
    """Return the rows of all tables of a Markdown file."""
    return [line for line in path.read_text().splitlines() if line.startswith("| ")]


def test_the_readme_has_the_measured_table_of_targets():
    """Case, target, what was reached and whether it holds, as in the report."""
    report = (RESULTS / "server.md").read_text()
    start = report.index("| case | at least | reached | holds |")
    wanted = report[start:].partition("\n\n")[0].splitlines()[2:]
    found = rows(ROOT / "README.md")

    for row in wanted:
        assert f"{' | '.join(row.split(' | ')[:4])} |" in found


@pytest.mark.parametrize("name", ["server.svg", "server.md", "soak.md"])
def test_the_readme_leads_to_the_results(name):
    """They exist, and the README names them."""
    assert (RESULTS / name).exists()
    assert f"tests/benchmarks/results/{name}" in (ROOT / "README.md").read_text()
