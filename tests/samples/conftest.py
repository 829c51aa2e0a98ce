"""Weight files and wheels made on the spot, so that no test needs a network."""

import collections
import hashlib
import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@pytest.fixture
def torch_stub(monkeypatch):
    """Provide the names a PyTorch weight file refers to, so that it can be pickled."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in DTYPES:
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2(*arguments):
        return arguments

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class StorageReference:
    """Stands for a storage while a file is pickled."""

    def __init__(self, kind, key, count):
        self.pid = ("storage", kind, key, "cpu", count, None)


class StatePickler(pickle.Pickler):
    """Writes storages as persistent ids, as PyTorch does."""

    def persistent_id(self, value):
        """Return the id of a storage."""
        return value.pid if isinstance(value, StorageReference) else None


class TensorOf:
    """A tensor as PyTorch pickles it: a call to rebuild it from its storage."""

    def __init__(self, rebuild, *arguments):
        self.reduced = (rebuild, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.fixture
def weight_file(torch_stub):
    """Return a function that writes arrays as PyTorch's older format has them."""

    def write(arrays, *, offset=0, stride=None, extra=None):
        records, storages = collections.OrderedDict(), {}
        for number, (name, array) in enumerate(arrays.items()):
            key = str(number)
            kind = "LongStorage" if array.dtype == np.int64 else "FloatStorage"
            storages[key] = array.astype(DTYPES[kind])
            reference = StorageReference(getattr(torch_stub, kind), key, array.size)
            steps = stride or tuple(step // array.itemsize for step in array.strides)
            rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
            hooks = collections.OrderedDict()
            records[name] = TensorOf(rebuild, reference, offset, array.shape, steps, False, hooks)
        if extra is not None:
            records["extra"] = extra
        file = io.BytesIO()
        for item in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, records, [*storages]):
            StatePickler(file, protocol=2).dump(item)
        for array in storages.values():
            file.write(struct.pack("<q", array.size) + array.tobytes(order="A"))
        return file.getvalue()

    return write


@pytest.fixture
def wheel_index(tmp_path, monkeypatch):
    """Return a function that publishes a wheel to the only index pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def publish(project: str, version: str, files: dict[str, bytes]) -> str:
        package = project.replace("-", "_")
        path: Path = folder / f"{package}-{version}-py3-none-any.whl"
        about = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
            archive.writestr(f"{about}/METADATA", metadata + "Requires-Dist: nowhere-to-be-found\n")
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return publish


@pytest.fixture
def random_weights():
    """Return small random weights under the published names and shapes."""
    random = np.random.default_rng(0)
    weights = {}

    def convolution(name, norm, outputs, inputs, kernel):
        spread = 1 / np.sqrt(inputs * kernel * kernel)
        shape = (outputs, inputs, kernel, kernel)
        weights[name + ".weight"] = (random.standard_normal(shape) * spread).astype("f4")
        for part in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{norm}.{part}"] = random.uniform(0.5, 1, outputs).astype("f4")

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    channels, index = 32, 0
    for repeats, kernel, expansion, outputs in (
        (1, 3, 1, 16), (2, 3, 6, 24), (2, 5, 6, 40), (3, 3, 6, 80),
        (3, 5, 6, 112), (4, 5, 6, 192), (1, 3, 6, 320),
    ):  # fmt: skip
        for _ in range(repeats):
            prefix, wide = f"_blocks.{index}.", channels * expansion
            if expansion > 1:
                convolution(prefix + "_expand_conv", prefix + "_bn0", wide, channels, 1)
            convolution(prefix + "_depthwise_conv", prefix + "_bn1", wide, 1, kernel)
            convolution(prefix + "_project_conv", prefix + "_bn2", outputs, wide, 1)
            channels, index = outputs, index + 1
    convolution("_conv_head", "_bn1", 1280, 320, 1)
    weights["_fc.weight"] = (random.standard_normal((1000, 1280)) * 0.03).astype("f4")
    weights["_fc.bias"] = random.standard_normal(1000).astype("f4")
    return weights
