"""How many GPUs are visible."""

import pytest

from inferd.models.devices import gpu_count


@pytest.fixture(name="device_directory")
def _device_directory(tmp_path):
    """A folder of device nodes with two GPUs."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 2), ("", 0), ("-1", 0), ("0", 1), ("0,1", 2), ("0,1,2", 2), ("GPU-abc", 1)],
)
def test_visible_devices_narrow_the_count(device_directory, visible, count):
    """As the framework would see it."""
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    assert gpu_count(environ, device_directory) == count


def test_a_machine_without_a_driver_has_none(tmp_path):
    """Nothing is initialised to find out."""
    assert gpu_count({}, tmp_path) == 0
