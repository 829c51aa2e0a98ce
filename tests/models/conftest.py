"""Repositories of identity models in a temporary folder, and the objects that serve them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inferd.backends.loader import BackendLoader
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.repository.catalog import Catalog

CONFIG = """
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 2 ] }
"""


class Repository:
    """A model repository on disk."""

    def __init__(self, path: Path):
        self.path = path

    def add(self, name="m", config=CONFIG, versions=("1",), **files):
        """Write a model; ``config=None`` writes no config."""
        folder = self.path / name
        for version in versions:
            (folder / version).mkdir(parents=True)
        folder.mkdir(exist_ok=True)
        if config is not None:
            (folder / "config.pbtxt").write_text(config)
        for file, text in files.items():
            (folder / file).write_text(text)
        return folder


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """An empty model repository."""
    path = tmp_path / "models"
    path.mkdir()
    return Repository(path)


@pytest.fixture(name="catalog")
def _catalog(repository):
    """The catalog of the repository."""
    return Catalog([repository.path])


@pytest.fixture(name="registry")
async def _registry(catalog):
    """A registry over the repository, closed at the end."""
    with ThreadPoolExecutor(2) as executor:
        registry = ModelRegistry(
            catalog, ModelLoader(BackendLoader({}), LoaderSettings()), executor
        )
        yield registry
        await registry.close()


@pytest.fixture(name="ask")
def _ask():
    """Make a checked request for an identity model."""

    def ask(value=7, rows=1):
        array = np.full((rows, 2), value, "<i4")
        request = InferRequest(
            "m", {"INPUT0": Tensor("INPUT0", "INT32", array.shape, raw=array.tobytes())}
        )
        request.batch_size = rows
        return request

    return ask
