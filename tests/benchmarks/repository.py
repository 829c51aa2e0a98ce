"""
The models the benchmark serves.
"""

from pathlib import Path
from typing import Final

from inferd.samples import toys

MODELS: Final = ("simple", "simple_batched")
"""The sample model, which executes one request at a time, and its twin, which batches."""

_CONFIG: Final = """\
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 64
input [
  {{ name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }},
  {{ name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }}
]
output [
  {{ name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] }},
  {{ name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }}
]
{batching}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


def write(folder: Path) -> None:
    """Write both models as a Triton model repository."""
    model = toys.simple()
    for name, batching in zip(MODELS, ("", "dynamic_batching { }"), strict=True):
        version = folder / name / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(model)
        (folder / name / "config.pbtxt").write_text(_CONFIG.format(name=name, batching=batching))
