"""Warm-up samples of ONNX models."""

import numpy as np
import pytest

from inferd.errors import LoadFailed
from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "onnxruntime"
max_batch_size: 8
instance_group { count: 2 kind: KIND_CPU }
model_warmup {
  name: "sample" batch_size: 3 count: 2
  inputs { key: "INPUT0" value { data_type: TYPE_FP32 dims: [ 16 ] random_data: true } }
  inputs { key: "INPUT1" value { data_type: TYPE_FP32 dims: [ %d ] %s } }
}
"""


@pytest.fixture(name="write")
def _write(tmp_path, onnx_files):
    """Write an add/sub model with a warm-up sample."""

    def write(data="zero_data: true", width=16):
        onnx_files.add_sub(tmp_path / "m" / "1" / "model.onnx", onnx_files.types.FLOAT)
        (tmp_path / "m" / "config.pbtxt").write_text(CONFIG % (width, data))
        return tmp_path

    return write


@pytest.mark.parametrize(
    "data", ["zero_data: true", "random_data: true", 'input_data_file: "ones"']
)
async def test_a_model_answers_after_its_warm_up(write, data):
    """Whose executions are not counted."""
    repository = write(data)
    (repository / "m" / "warmup").mkdir()
    (repository / "m" / "warmup" / "ones").write_bytes(np.ones(16, "<f4").tobytes())
    array = np.ones((1, 16), np.float32)
    async with InMemoryServer(repository) as server:
        outputs = await server.infer("m", {"INPUT0": array, "INPUT1": array})
        (statistics,) = server.dataplane.model_statistics("m", "")

    assert outputs["OUTPUT0"].tolist() == (2 * array).tolist()
    assert statistics.execution_count == 1


async def test_a_sample_the_model_does_not_take_fails_the_load(write):
    """The reason names the sample and the input."""
    with pytest.raises(LoadFailed, match=r"failed to run warmup sample 'sample': .*'INPUT1'"):
        async with InMemoryServer(write(width=15)):
            pass
