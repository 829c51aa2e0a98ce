"""Tests of asking for a GPU, against small stand-in drivers built with the C compiler."""

import ctypes
import subprocess
from pathlib import Path

import pytest
from inferd_kernels.cuda import driver


def build_driver(folder: Path, start: int, devices: int) -> str:
    """Build a driver whose start answers a code and which counts so many GPUs."""
    source = folder / "driver.c"
    source.write_text(
        f"int cuInit(unsigned flags) {{ return {start}; }}\n"
        f"int cuDeviceGetCount(int *count) {{ *count = {devices}; return 0; }}\n"
        'int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_NO_DEVICE";'
        " return 0; }\n"
    )
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


@pytest.fixture(name="load")
def _load(monkeypatch: pytest.MonkeyPatch) -> object:
    """Make the loader find another library under the driver's name."""
    real = ctypes.CDLL

    def load(path: str) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda _: real(path))

    return load


def test_gpus_are_counted(tmp_path: Path, load: object) -> None:
    """A driver with two GPUs counts two."""
    load(build_driver(tmp_path, 0, 2))  # type: ignore[operator]

    assert driver.device_count() == 2


def test_a_driver_without_gpus_is_no_device(tmp_path: Path, load: object) -> None:
    """A driver that starts and sees nothing is said to see nothing."""
    load(build_driver(tmp_path, 0, 0))  # type: ignore[operator]

    with pytest.raises(driver.NoDevice, match="sees no GPU"):
        driver.device_count()


def test_a_driver_that_does_not_start_is_named_by_its_error(tmp_path: Path, load: object) -> None:
    """A driver's own error name reaches the user."""
    load(build_driver(tmp_path, 100, 1))  # type: ignore[operator]

    with pytest.raises(driver.NoDevice, match=r"CUDA_ERROR_NO_DEVICE \(100\)"):
        driver.device_count()


def test_no_driver_is_no_device(load: object) -> None:
    """Without the driver's library, that is what the message says."""
    load("libcuda-is-not-here.so.1")  # type: ignore[operator]

    with pytest.raises(driver.NoDevice, match="no NVIDIA driver"):
        driver.device_count()
