"""Tests of compiling for GPUs, which needs the CUDA packages but no GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import inferd_kernels
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

SOURCES = str(Path(inferd_kernels.__file__).parents[1])


@pytest.fixture(name="programs", scope="module")
def _programs() -> list[dict[str, Any]]:
    """Every kernel, compiled for every GPU."""
    path = os.pathsep.join([SOURCES, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(Path(__file__).with_name("compile_all.py"))]
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "compiler is incomplete" in ran.stderr:
        pytest.skip(ran.stderr.splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_no_kernel_uses_doubles(programs: list[dict[str, Any]]) -> None:
    """All arithmetic is in float32 and integers: doubles are slow on most GPUs."""
    assert [program["kernel"] for program in programs if program["doubles"]] == []


def test_the_assembler_accepts_every_program(programs: list[dict[str, Any]]) -> None:
    """NVIDIA's own assembler takes each program for each GPU."""
    if programs[0]["complaints"] is None:
        pytest.skip("ptxas is not installed")

    assert [program for program in programs if "error" in program["complaints"]] == []
