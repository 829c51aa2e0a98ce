"""Tests of choosing a set of kernels, and of what choosing costs."""

import os
import subprocess
import sys
from pathlib import Path

import inferd_kernels
import pytest

PACKAGE_ROOT = Path(inferd_kernels.__file__).parents[1]


def run_python(code: str) -> str:
    """Run code in a new interpreter and return what it printed."""
    path = os.pathsep.join([str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_unknown_names_are_refused() -> None:
    """A set that does not exist is refused with those that do."""
    with pytest.raises(ValueError, match="no kernel set 'opencl'; there are numpy, numba, cuda"):
        inferd_kernels.select("opencl")  # type: ignore[arg-type]


def test_a_set_tells_its_name(kernels: inferd_kernels.KernelSet) -> None:
    """A set is called what it was selected by."""
    assert inferd_kernels.select(kernels.name).name == kernels.name


def test_importing_the_package_imports_no_compiler() -> None:
    """A server that imports the package, or the NumPy kernels, does not wait for numba."""
    code = (
        "import sys, inferd_kernels; inferd_kernels.warm(inferd_kernels.select('numpy'));"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'numba', 'cuda'}))"
    )

    assert run_python(code) == "[]"


@pytest.mark.parametrize(("name", "package"), [("numba", "numba"), ("cuda", "numba_cuda")])
def test_missing_packages_name_the_extra(name: str, package: str) -> None:
    """Without its packages a set says which extra to install."""
    code = (
        f"import sys, inferd_kernels; sys.modules[{package!r}] = None\n"
        "import inferd_kernels.cuda as package; package.device_count = lambda: 1\n"
        f"try: inferd_kernels.select({name!r})\n"
        "except ImportError as error: print(error)"
    )

    assert f"pip install 'inferd-kernels[{name}]'" in run_python(code)


def test_prepared_kernels_never_compile_again() -> None:
    """An argument no kernel was prepared for is refused instead of compiled for."""
    pytest.importorskip("numba")
    code = (
        "import numpy, inferd_kernels.cpu as cpu; cpu.kernel_set().prepare()\n"
        "try: cpu._top_k(numpy.zeros((1, 2), 'c8'), numpy.zeros((1, 1), 'i8'))\n"
        "except TypeError: print('refused')"
    )

    assert run_python(code) == "refused"
