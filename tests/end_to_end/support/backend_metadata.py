"""Makes a backend of the tests known to servers, as an installed distribution would be."""

from pathlib import Path


def install(folder: Path, name: str, entry: str) -> str:
    """
    Make a backend known to processes that have the returned paths on their ``PYTHONPATH``.

    Args:
        folder: Where the metadata of the distribution is written.
        name: The backend's name in a model's config.
        entry: Its class, as ``module:Class``; the module is beside this one.
    """
    metadata = folder / f"inferd_{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: inferd-{name}\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(f"[inferd.backends]\n{name} = {entry}\n")
    return f"{folder}:{Path(__file__).parent}"
