"""The server without sockets."""

import numpy as np
import pytest

from inferd.errors import InvalidRequest, LoadFailed, NotFound
from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_%s dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_%s dims: [ -1 ] }
"""


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository of identity models, one per datatype."""
    for name in ("FP32", "STRING", "BF16"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(CONFIG % (name, name))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "array"),
    [
        ("FP32", np.ones((2, 3), np.float32)),
        ("STRING", np.array([[b"a", b"\x00"]], object)),
        ("BF16", np.ones((1, 2), np.uint16)),
    ],
)
async def test_it_answers_with_arrays(repository, model, array):
    """Datatypes follow from the arrays and the model."""
    async with InMemoryServer(repository) as server:
        outputs = await server.infer(model, {"INPUT0": array}, outputs=["OUTPUT0"])

    assert outputs["OUTPUT0"].tolist() == array.tolist()


async def test_errors_are_those_a_client_would_see(repository):
    """The model and the tensor are named."""
    async with InMemoryServer(repository, models=["FP32"]) as server:
        with pytest.raises(InvalidRequest, match="data-type is 'INT32'"):
            await server.infer("FP32", {"INPUT0": np.ones((1, 1), np.int32)})
        with pytest.raises(InvalidRequest, match="unexpected inference input 'X'"):
            await server.infer("FP32", {"X": np.ones((1, 1), np.float32)})
        with pytest.raises(NotFound):
            await server.infer("STRING", {})


async def test_a_model_that_cannot_be_loaded_is_an_error(repository):
    """Before anything is asked."""
    (repository / "FP32" / "config.pbtxt").write_text("nonsense")
    with pytest.raises(LoadFailed, match="nonsense"):
        async with InMemoryServer(repository):
            pass
