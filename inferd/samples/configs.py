"""The ``config.pbtxt`` texts of the sample repository, model by model."""

_CLASSIFIER_NOTE = """\
# The weights are those of EfficientNet-Lite0 (ImageNet-1k, Apache-2.0), under the names and
# shapes of Triton's example of this name: this is not {original}.
# Pixels are scaled to [-1, 1], which image clients call INCEPTION scaling.
"""

DENSENET_ONNX = (
    _CLASSIFIER_NOTE.format(original="DenseNet-121")
    + """\
name: "densenet_onnx"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 224, 224 ]
    reshape { shape: [ 1, 3, 224, 224 ] }
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 1000 ]
    reshape { shape: [ 1, 1000, 1, 1 ] }
    label_filename: "densenet_labels.txt"
  }
]
"""
)

INCEPTION_ONNX = (
    _CLASSIFIER_NOTE.format(original="Inception-v3")
    + """\
name: "inception_onnx"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  {
    name: "input:0"
    data_type: TYPE_FP32
    format: FORMAT_NHWC
    dims: [ 299, 299, 3 ]
    reshape { shape: [ 1, 299, 299, 3 ] }
  }
]
output [
  {
    name: "InceptionV3/Predictions/Softmax:0"
    data_type: TYPE_FP32
    dims: [ 1001 ]
    reshape { shape: [ 1, 1001 ] }
    label_filename: "inception_labels.txt"
  }
]
"""
)


def _add_sub(name: str, data_type: str) -> str:
    tensors = {
        tensor: f'{{\n    name: "{tensor}"\n    data_type: {data_type}\n    dims: [ 16 ]\n  }}'
        for tensor in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    }
    return f"""\
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {tensors["INPUT0"]},
  {tensors["INPUT1"]}
]
output [
  {tensors["OUTPUT0"]},
  {tensors["OUTPUT1"]}
]
"""


SIMPLE = _add_sub("simple", "TYPE_INT32")
SIMPLE_INT8 = _add_sub("simple_int8", "TYPE_INT8")
SIMPLE_STRING = _add_sub("simple_string", "TYPE_STRING")

SIMPLE_IDENTITY = """\
# Triton's example of this name runs on its Python backend; this one is an ONNX Identity.
name: "simple_identity"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {
    name: "INPUT0"
    data_type: TYPE_STRING
    dims: [ -1 ]
  }
]
output [
  {
    name: "OUTPUT0"
    data_type: TYPE_STRING
    dims: [ -1 ]
  }
]
"""


def _control(name: str, kind: str) -> str:
    return f"""\
    {{
      name: "{name}"
      control [
        {{
          kind: {kind}
          int32_false_true: [ 0, 1 ]
        }}
      ]
    }}"""


_START = _control("START", "CONTROL_SEQUENCE_START")
_END = _control("END", "CONTROL_SEQUENCE_END")
_READY = _control("READY", "CONTROL_SEQUENCE_READY")

_SEQUENCE_TENSORS = """\
input [
  {
    name: "INPUT"
    data_type: TYPE_INT32
    dims: [ 1 ]
  }
]
output [
  {
    name: "OUTPUT"
    data_type: TYPE_INT32
    dims: [ 1 ]
  }
]
"""

SIMPLE_SEQUENCE = f"""\
name: "simple_sequence"
platform: "onnxruntime_onnx"
max_batch_size: 8
sequence_batching {{
  control_input [
{_START},
{_READY}
  ]
}}
{_SEQUENCE_TENSORS}instance_group [
  {{
    kind: KIND_CPU
  }}
]
"""

SIMPLE_DYNA_SEQUENCE = f"""\
name: "simple_dyna_sequence"
platform: "onnxruntime_onnx"
max_batch_size: 8
sequence_batching {{
  max_sequence_idle_microseconds: 10000000
  oldest {{
    max_candidate_sequences: 1024
    max_queue_delay_microseconds: 10000
  }}
  control_input [
{_START},
{_END},
{_READY},
    {{
      name: "CORRID"
      control [
        {{
          kind: CONTROL_SEQUENCE_CORRID
          data_type: TYPE_UINT64
        }}
      ]
    }}
  ]
}}
{_SEQUENCE_TENSORS}instance_group [
  {{
    count: 2
    kind: KIND_CPU
  }}
]
parameters {{
  key: "execute_delay_ms"
  value: {{ string_value: "3" }}
}}
"""
