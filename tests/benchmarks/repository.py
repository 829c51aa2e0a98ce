"""
The models the benchmark serves.
"""

from pathlib import Path
from typing import Final

from inferd.samples import toys

ADD_SUB: Final = ("simple", "simple_batched")
"""The sample model, which executes one request at a time, and its twin, which batches."""

_ADD_SUB: Final = """\
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

_IDENTITY: Final = """\
name: "{name}"
backend: "identity"
input [ {{ name: "INPUT0" data_type: {datatype} dims: [ {dims} ] }} ]
output [ {{ name: "OUTPUT0" data_type: {datatype} dims: [ {dims} ] }} ]
"""

_IDENTITIES: Final = {
    "identity_floats": ("TYPE_FP32", "150528"),
    "identity_image": ("TYPE_FP32", "3, 224, 224"),
    "identity_strings": ("TYPE_STRING", "1000"),
}


def write(folder: Path) -> None:
    """Write all models as a Triton model repository."""
    model = toys.simple()
    for name, batching in zip(ADD_SUB, ("", "dynamic_batching { }"), strict=True):
        config = _ADD_SUB.format(name=name, batching=batching)
        (_write(folder, name, config) / "model.onnx").write_bytes(model)
    for name, (datatype, dims) in _IDENTITIES.items():
        _write(folder, name, _IDENTITY.format(name=name, datatype=datatype, dims=dims))


def _write(folder: Path, name: str, config: str) -> Path:
    """Write a config and return the folder of version 1."""
    version = folder / name / "1"
    version.mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(config)
    return version
