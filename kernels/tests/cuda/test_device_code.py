"""Tests of the GPU's code without a GPU: in numba's simulator, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import inferd_kernels
import pytest

pytest.importorskip("numba")

SOURCES = str(Path(inferd_kernels.__file__).parents[1])


@pytest.fixture(name="distances", scope="module")
def _distances() -> dict[str, float]:
    """How far each simulated kernel is from the reference."""
    path = os.pathsep.join([SOURCES, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, str(Path(__file__).with_name("simulate.py"))]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kernel", ["scale_chw", "scale_hwc", "resize", "top_k"])
def test_device_code_equals_the_reference(distances: dict[str, float], kernel: str) -> None:
    """Each GPU kernel computes the bits of the reference on a grid smaller than its work."""
    assert distances[kernel] == 0
