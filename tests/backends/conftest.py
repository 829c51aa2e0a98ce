"""Lets tests of the backends install small plugin distributions of their own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]


@pytest.fixture(name="install")
def _install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a distribution with entry points and one module."""
    modules = set(sys.modules)

    def install(
        distribution: str, entry_points: dict[str, str], module: str = "", source: str = ""
    ) -> None:
        folder = tmp_path / distribution
        info = folder / f"{distribution.replace('-', '_')}-2.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.5\n"
        )
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("[inferd.backends]\n" + "\n".join(lines) + "\n")
        if module:
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    yield install
    for name in set(sys.modules) - modules:
        del sys.modules[name]
