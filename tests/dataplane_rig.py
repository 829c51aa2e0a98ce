"""Data planes over a repository with one model of the identity backend in two versions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inferd.backends.loader import BackendLoader
from inferd.dataplane import DataPlane, Identity
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.repository.catalog import Catalog

CONFIG = """
backend: "identity"
max_batch_size: 4
version_policy { all { } }
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 3 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
"""


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository with one model of two versions."""
    for version in ("1", "2"):
        (tmp_path / "m" / version).mkdir(parents=True)
    (tmp_path / "m" / "config.pbtxt").write_text(CONFIG)
    (tmp_path / "m" / "labels.txt").write_text("cat\ndog\nowl\n")
    return tmp_path


@pytest.fixture(name="planes")
async def _planes(repository):
    """Make data planes over the repository."""
    catalog = Catalog([repository])
    with ThreadPoolExecutor(2) as executor:
        registry = ModelRegistry(
            catalog, ModelLoader(BackendLoader({}), LoaderSettings()), executor
        )

        def plane(**more):
            return DataPlane(registry, catalog, Identity("triton", "1.2"), **more)

        yield plane
        await registry.close()


@pytest.fixture(name="plane")
async def _plane(planes):
    """A data plane that clients may control, with the model loaded."""
    plane = planes(explicit_control=True)
    await plane.load_model("m")
    return plane


def ask(*values, outputs=(), **more):
    """Return a request of one row."""
    array = np.array([values], np.float32)
    tensor = Tensor("INPUT0", "FP32", array.shape, raw=array.tobytes())
    return InferRequest("m", {"INPUT0": tensor}, outputs=outputs, **more)
