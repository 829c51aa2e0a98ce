"""Tests that every field of a model config survives reading and printing."""

import json
from importlib import resources
from typing import Any

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.models import model_config

MAXIMAL = """
name: "everything"  # a comment
platform: "onnxruntime_onnx" backend: "onnxruntime", runtime: 'model' ".py";
version_policy { VERSION_POLICY }
max_batch_size: 8
input [
  {
    name: "IN" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, -1, 224 ]
    reshape: { shape: [ 3, -1, 224, 1 ] }
    is_shape_tensor: true allow_ragged_batch: true optional: true is_non_linear_format_io: true
  },
  { name: "IN2" data_type: 13 dims: 9007199254740993 }
]
output {
  name: "OUT" data_type: TYPE_BF16 dims: -1 reshape { shape: [] shape: 7 }
  label_filename: "labels.txt" is_shape_tensor: true is_non_linear_format_io: true
}
batch_input {
  kind: BATCH_ITEM_SHAPE target_name: "A" target_name: "B" data_type: TYPE_INT32 source_input: "IN"
}
batch_output { target_name: ["OUT"] kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: ["IN"] }
optimization {
  graph { level: -1 }
  priority: PRIORITY_MAX
  cuda {
    graphs: true busy_wait_events: true output_copy_stream: true
    graph_spec {
      batch_size: 2
      input { key: "IN" value { dim: [ 1, 2 ] } }
      graph_lower_bound { batch_size: 1 input { key: "IN" value { dim: 1 } } }
    }
  }
  execution_accelerators {
    gpu_execution_accelerator { name: "tensorrt" parameters { key: "a" value: "b" } }
    cpu_execution_accelerator { name: "openvino" parameters { key: "c" value: "d" } }
  }
  input_pinned_memory { enable: true }
  output_pinned_memory { enable: true }
  gather_kernel_buffer_threshold: 5
  eager_batching: true
}
SCHEDULING
instance_group {
  name: "g" kind: KIND_GPU count: 3
  rate_limiter { resources { name: "R" global: true count: 4 } priority: 2 }
  gpus: [ 0, 1 ]
  secondary_devices { kind: KIND_NVDLA device_id: 3 }
  profile: "0" passive: true host_policy: "p"
}
default_model_filename: "model.onnx"
cc_model_filenames { key: "7.5" value: "m.onnx" }
metric_tags { key: "k" value: "v" }
parameters: { key: "p", value: { string_value: "1" } }
model_warmup {
  name: "w" batch_size: 1 count: 2
  inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 3 ] WARMUP } }
}
model_operations { op_library_filename: "op.so" }
model_transaction_policy { decoupled: true }
model_repository_agents { agents { name: "checksum" parameters { key: "MD5:x" value: "y" } } }
response_cache { enable: true }
model_metrics {
  metric_control {
    metric_identifier { family: "f" } histogram_options { buckets: [ 0.1, 100, inf ] }
  }
}
"""

DYNAMIC = """dynamic_batching {
  preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 18446744073709551615
  preserve_ordering: true priority_levels: 2 default_priority_level: 1
  default_queue_policy {
    timeout_action: DELAY default_timeout_microseconds: 5 allow_timeout_override: true
    max_queue_size: 6
  }
  priority_queue_policy { key: 2 value { max_queue_size: 1 } }
  priority_queue_policy { key: 1 value { default_timeout_microseconds: 1 } }
}"""

SEQUENCE = """sequence_batching {
  STRATEGY
  max_sequence_idle_microseconds: 7
  control_input {
    name: "START"
    control {
      kind: CONTROL_SEQUENCE_CORRID int32_false_true: [ 0, 1 ] fp32_false_true: [ 0.0, 0.1 ]
      bool_false_true: [ false, true ] data_type: TYPE_UINT64
    }
  }
  state {
    input_name: "S" output_name: "T" data_type: TYPE_FP32 dims: -1
    initial_state { data_type: TYPE_FP32 dims: 1 name: "zero" STATE }
    use_same_buffer_for_input_output: true use_growable_memory: true
  }
  iterative_sequence: true
}"""

ENSEMBLE = """ensemble_scheduling {
  step {
    model_name: "m" model_version: -1 model_namespace: "n"
    input_map { key: "a" value: "b" } output_map { key: "c" value: "d" }
  }
  max_inflight_requests: 3
}"""

DIRECT = "direct { max_queue_delay_microseconds: 1 minimum_slot_utilization: 0.1 }"
OLDEST = """oldest {
  max_candidate_sequences: 1 preferred_batch_size: 2 max_queue_delay_microseconds: 3
  preserve_ordering: true
}"""


def _maximal(scheduling: str, version_policy: str, warmup: str) -> str:
    return (
        MAXIMAL.replace("SCHEDULING", scheduling)
        .replace("VERSION_POLICY", version_policy)
        .replace("WARMUP", warmup)
    )


VARIANTS = [
    _maximal(DYNAMIC, "latest { num_versions: 2 }", "zero_data: true"),
    _maximal(
        SEQUENCE.replace("STRATEGY", DIRECT).replace("STATE", "zero_data: true"),
        "all { }",
        "random_data: true",
    ),
    _maximal(
        SEQUENCE.replace("STRATEGY", OLDEST).replace("STATE", 'data_file: "f"'),
        "specific { versions: [ 1, 3 ] }",
        'input_data_file: "raw"',
    ),
    _maximal(ENSEMBLE, "specific { }", "zero_data: false"),
]


def _google_class() -> type[Message]:
    encoded = resources.files("inferd._generated").joinpath("protos.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(encoded).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


GOOGLE: Any = _google_class()


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _set_fields(message: Message) -> set[str]:
    """Return the full names of the fields that are set anywhere in a message."""
    found = set()
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type is None:
            continue
        if _is_map(field):
            children = (
                value.values() if field.message_type.fields_by_name["value"].message_type else ()
            )
        else:
            children = [value] if field.has_presence else value
        for child in children:
            found |= _set_fields(child)
    return found


def _all_fields(descriptor: Descriptor) -> set[str]:
    """Return the full names of every field a message can hold at any depth."""
    found = set()
    for field in descriptor.fields:
        found.add(field.full_name)
        nested = field.message_type
        if nested is not None and _is_map(field):
            nested = nested.fields_by_name["value"].message_type
        if nested is not None:
            found |= _all_fields(nested)
    return found


def _google_json(message: Message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _unquoted(value: Any, printed: Any) -> Any:
    """Return Google's JSON with 64-bit numbers unquoted where ours prints numbers."""
    if isinstance(value, dict):
        return {key: _unquoted(item, printed[key]) for key, item in value.items()}
    if isinstance(value, list):
        return [_unquoted(item, other) for item, other in zip(value, printed, strict=True)]
    if isinstance(printed, int) and not isinstance(printed, bool) and isinstance(value, str):
        return int(value)
    return value


def _scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return {
        field.TYPE_STRING: st.text(max_size=5),
        field.TYPE_BOOL: st.booleans(),
        field.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        field.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        field.TYPE_UINT32: st.integers(0, 2**32 - 1),
        field.TYPE_UINT64: st.integers(0, 2**64 - 1),
        # Adding 0.0 makes -0.0 positive: betterproto2 takes it for the default and omits it.
        field.TYPE_FLOAT: st.floats(allow_nan=False, width=32).map(lambda value: value + 0.0),
        field.TYPE_DOUBLE: st.floats(allow_nan=False).map(lambda value: value + 0.0),
    }[field.type]


@st.composite
def _google_configs(draw: st.DrawFn) -> Message:
    """Draw a config with any fields set to anything."""
    message = GOOGLE()
    _fill(draw, message)
    return message


def _fill(draw: st.DrawFn, message: Any) -> None:
    fields = list(message.DESCRIPTOR.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=3)) if fields else ():
        target = getattr(message, field.name)
        if _is_map(field):
            key, value = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            drawn = draw(_scalars(key))
            if value.message_type is None:
                target[drawn] = draw(_scalars(value))
            else:
                _fill(draw, target[drawn])
        elif field.message_type is not None and field.has_presence:
            target.SetInParent()
            _fill(draw, target)
        elif field.message_type is not None:
            _fill(draw, target.add())
        elif isinstance(target, bool | int | float | str):
            setattr(message, field.name, draw(_scalars(field)))
        else:
            target.append(draw(_scalars(field)))


def test_the_maximal_configs_set_every_field() -> None:
    """The maximal configs of these tests leave out no field a config can have."""
    covered = set()
    for text in VARIANTS:
        covered |= _set_fields(text_format.Parse(text, GOOGLE()))
    assert _all_fields(GOOGLE.DESCRIPTOR) - covered == {
        "inference.ModelInstanceGroup.SecondaryDevice.kind",
        "inference.BatchOutput.kind",
    }, "their enums have one value, the default"


@pytest.mark.parametrize("text", VARIANTS, ids=["dynamic", "direct", "oldest", "ensemble"])
def test_every_field_survives_parsing(text: str) -> None:
    """Each field of a config.pbtxt reaches the server's config unchanged."""
    expected = text_format.Parse(text, GOOGLE())
    parsed = model_config.parse_text(text, "config.pbtxt")
    assert GOOGLE.FromString(bytes(parsed)) == expected


@pytest.mark.parametrize("text", VARIANTS, ids=["dynamic", "direct", "oldest", "ensemble"])
def test_every_field_is_printed(text: str) -> None:
    """The printed config is proto3 JSON with the 64-bit integers as numbers."""
    printed = model_config.to_json(model_config.parse_text(text, "config.pbtxt"))
    expected = _google_json(text_format.Parse(text, GOOGLE()))
    assert printed == _unquoted(expected, printed)
    assert not [value for value in _leaves(printed) if value == "9007199254740993"]
    assert model_config.parse_json(json.dumps(printed), "override") == model_config.parse_text(
        text, "config.pbtxt"
    )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


@settings(deadline=None, max_examples=60)
@given(_google_configs())
def test_text_message_and_json_agree(message: Any) -> None:
    """A config read from text, printed as JSON and read again is the same config."""
    parsed = model_config.parse_text(text_format.MessageToString(message), "config.pbtxt")
    assert GOOGLE.FromString(bytes(parsed)) == message
    printed = model_config.to_json(parsed)
    assert printed == _unquoted(_google_json(message), printed)
    assert model_config.parse_json(json.dumps(printed), "override") == parsed
