"""Tests of reading model configs from text and JSON, and of printing them."""

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd._generated.inference import ModelConfig, ModelInput, ModelParameter
from inferd.errors import LoadFailed
from inferd.models import model_config


def test_fields_are_printed_in_declaration_order_with_defaults() -> None:
    """A config prints every plain field, in the order of the .proto, and no unset message."""
    assert list(model_config.to_json(ModelConfig(name="m", dynamic_batching=None))) == [
        "name",
        "platform",
        "backend",
        "runtime",
        "max_batch_size",
        "input",
        "output",
        "batch_input",
        "batch_output",
        "instance_group",
        "default_model_filename",
        "cc_model_filenames",
        "metric_tags",
        "parameters",
        "model_warmup",
    ]
    tensor = model_config.to_json(ModelConfig(input=[ModelInput(name="x", dims=[-1])]))["input"][0]
    assert list(tensor.items()) == [
        ("name", "x"),
        ("data_type", "TYPE_INVALID"),
        ("format", "FORMAT_NONE"),
        ("dims", [-1]),
        ("is_shape_tensor", False),
        ("allow_ragged_batch", False),
        ("optional", False),
        ("is_non_linear_format_io", False),
    ]


def test_numbers_are_printed_short_and_maps_sorted() -> None:
    """A 32-bit float prints as it was written; map keys are strings in numeric order."""
    direct = model_config.parse_text(
        "sequence_batching { direct { minimum_slot_utilization: 0.1 } }", "c"
    )
    strategy = model_config.to_json(direct)["sequence_batching"]["direct"]
    assert strategy == {"max_queue_delay_microseconds": 0, "minimum_slot_utilization": 0.1}
    policies = "priority_queue_policy { key: 10 } priority_queue_policy { key: 9 }"
    dynamic = model_config.parse_text(f"dynamic_batching {{ {policies} }}", "c")
    printed = model_config.to_json(dynamic)["dynamic_batching"]["priority_queue_policy"]
    assert list(printed) == ["9", "10"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [("inf", "Infinity"), ("-inf", "-Infinity"), ("nan", "NaN")],
)
def test_numbers_json_cannot_hold_are_named(text: str, printed: str) -> None:
    """Infinite and missing numbers print as proto3 JSON names them."""
    config = model_config.parse_text(
        f"model_metrics {{ metric_control {{ histogram_options {{ buckets: {text} }} }} }}", "c"
    )
    [control] = model_config.to_json(config)["model_metrics"]["metric_control"]
    assert control["histogram_options"] == {"buckets": [printed]}


def test_an_unknown_enum_value_is_printed_as_its_number() -> None:
    """A value a newer schema may have defined is shown rather than hidden."""
    config = model_config.parse_json('{"input": [{"data_type": 77}]}', "override")
    assert model_config.to_json(config)["input"][0]["data_type"] == 77


def test_empty_text_is_an_empty_config() -> None:
    """An empty config.pbtxt leaves everything to completion."""
    assert model_config.parse_text("", "config.pbtxt") == ModelConfig()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'name: "x"\n  max_batchsize: 4',
            "2:3: Unknown field 'max_batchsize' of ModelConfig; did you mean 'max_batch_size'?",
        ),
        (
            'input [ { name: "a" datatype: TYPE_FP32 } ]',
            "1:21: Unknown field 'datatype' of ModelInput; did you mean 'data_type'?",
        ),
        ("zzz: 1", "1:1: Unknown field 'zzz' of ModelConfig"),
        (
            "input { data_type: TYPE_FP3 }",
            "1:20: 'input { data_type: TYPE_FP3 }': Enum type \"inference.DataType\" has no value "
            "named TYPE_FP3; did you mean 'TYPE_FP32'?",
        ),
        ('max_batch_size: "a"', '1:17: \'max_batch_size: "a"\': Couldn\'t parse integer: "a"'),
        (
            "max_batch_size: 2147483648",
            "1:17: 'max_batch_size: 2147483648': Value out of range: 2147483648",
        ),
        ("input { dims: [ 1, ] }", "1:20: 'input { dims: [ 1, ] }': Couldn't parse integer: ]"),
    ],
)
def test_text_that_does_not_parse_is_pointed_at(text: str, reason: str) -> None:
    """The message names the file, the place, the field and the name that was likely meant."""
    with pytest.raises(LoadFailed) as caught:
        model_config.parse_text(text, "m/config.pbtxt")
    assert caught.value.message == f"failed to read text proto from m/config.pbtxt: {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("input {", r"1:\d+: .*Expected"),
        ('name: "a" name: "b"', r"1:\d+: .*should not have multiple \"name\" fields"),
        ("dynamic_batching {} sequence_batching {}", r"1:\d+: .*oneof \"scheduling_choice\""),
        (r'name: "\377"', r"1:\d+: .*utf-8"),
        ('name: "\udcff"', "surrogates not allowed"),
    ],
)
def test_text_that_makes_no_config_is_refused(text: str, reason: str) -> None:
    """Unbalanced, repeated and contradictory fields and broken strings fail the load."""
    with pytest.raises(LoadFailed, match=f"^failed to read text proto from c: .*{reason}"):
        model_config.parse_text(text, "c")


def test_json_is_read_as_triton_reads_it() -> None:
    """Both spellings of names, enum names in any case, quoted numbers and nulls are taken."""
    config = model_config.parse_json(
        """{"name": "m", "maxBatchSize": "8", "backend": null,
            "input": [{"name": "a", "data_type": "type_fp32", "dims": ["-1", 4]},
                      {"name": "b", "dataType": 9, "dims": null}],
            "instance_group": [{"kind": "Kind_Cpu"}],
            "parameters": {"k": {"string_value": "type_fp32"}},
            "cc_model_filenames": {"kind": "kind_cpu"}}""",
        "override",
    )
    assert config == model_config.parse_text(
        """name: "m" max_batch_size: 8
           input { name: "a" data_type: TYPE_FP32 dims: [ -1, 4 ] }
           input { name: "b" data_type: TYPE_INT64 }
           instance_group { kind: KIND_CPU }
           parameters { key: "k" value { string_value: "type_fp32" } }
           cc_model_filenames { key: "kind" value: "kind_cpu" }""",
        "config.pbtxt",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '{"max_batchsize": 1}',
            "Unknown field 'max_batchsize' of ModelConfig; did you mean 'max_batch_size'?",
        ),
        (
            '{"input": [{}, {"dim": 1}]}',
            "Unknown field 'input[1].dim' of ModelInput; did you mean 'dims'?",
        ),
        (
            '{"parameters": {"k": {"value": 1}}}',
            "Unknown field 'parameters[k].value' of ModelParameter",
        ),
        ('{"name": "a", "name": "b"}', "field 'name' is given more than once"),
        ("[]", "expected an object"),
        ("null", "expected an object"),
        ('"name"', "expected an object"),
        ("", "1:1: Expecting value"),
        ('{\n"name" 1}', "2:8: Expecting ':' delimiter"),
        ('{"input": ' * 100_000, "nested too deeply"),
    ],
)
def test_json_that_does_not_parse_is_pointed_at(text: str, reason: str) -> None:
    """The message names the override, the place, and the name that was likely meant."""
    with pytest.raises(LoadFailed) as caught:
        model_config.parse_json(text, "config override of 'm'")
    assert caught.value.message == f"failed to parse JSON of config override of 'm': {reason}"


@pytest.mark.parametrize(
    "text",
    [
        '{"name": 1}',
        '{"max_batch_size": 4.5}',
        '{"max_batch_size": 2147483648}',
        '{"max_batch_size": 1e400}',
        '{"max_batch_size": true}',
        '{"max_batch_size": {}}',
        '{"max_batch_size": [1]}',
        '{"input": {}}',
        '{"input": 5}',
        '{"input": [5]}',
        '{"input": [null]}',
        '{"input": [[]]}',
        '{"input": [{"data_type": "TYPE_BAD"}]}',
        '{"input": [{"data_type": {}}]}',
        '{"input": [{"dims": 4}]}',
        '{"parameters": []}',
        '{"parameters": "k"}',
        '{"parameters": {"k": "v"}}',
        '{"optimization": "fast"}',
        '{"optimization": []}',
        '{"instance_group": {"kind": []}}',
        '{"version_policy": {"latest": {}, "all": {}}}',
        '{"dynamic_batching": {"priority_queue_policy": {"x": {}}}}',
        r'{"name": "\ud800"}',
    ],
)
def test_json_of_the_wrong_type_is_refused(text: str) -> None:
    """A value of the wrong JSON type fails the load with the source's name, never the server."""
    with pytest.raises(LoadFailed, match=r"^failed to parse JSON of override: "):
        model_config.parse_json(text, "override")


@settings(deadline=None)
@given(st.text(max_size=40) | st.text(alphabet='input{}[]:"name \n#1-', max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a config.pbtxt contains, it is a config or a load failure."""
    with contextlib.suppress(LoadFailed):
        model_config.parse_text(text, "c")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "input",
                    "name",
                    "dims",
                    "parameters",
                    "dynamic_batching",
                    "latest",
                    "version_policy",
                    "data_type",
                    "max_batch_size",
                    "instance_group",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_no_json_breaks_the_reader(document: Any) -> None:
    """Whatever JSON a client sends, it is a config or a load failure."""
    with contextlib.suppress(LoadFailed):
        model_config.parse_json(json.dumps(document), "c")


@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize(
    ("read", "text"),
    [
        (model_config.parse_text, "sequence_batching {{ generative_sequence: {} }}"),
        (model_config.parse_json, '{{"sequence_batching": {{"generative_sequence": {}}}}}'),
        (model_config.parse_json, '{{"sequenceBatching": {{"generativeSequence": {}}}}}'),
    ],
)
def test_the_old_name_of_iterative_sequences_is_read(read: Any, text: str, value: str) -> None:
    """Clients see the name of today only."""
    printed = model_config.to_json(read(text.format(value), "c"))["sequence_batching"]
    assert printed["iterative_sequence"] is (value == "true")
    assert "generative_sequence" not in printed


def test_the_old_name_does_not_undo_the_new_one() -> None:
    """A config may state both; a config without sequences has none after reading."""
    text = "sequence_batching { iterative_sequence: true generative_sequence: false }"
    batching = model_config.parse_text(text, "c").sequence_batching
    assert batching is not None
    assert batching.iterative_sequence is True
    assert model_config.parse_text('name: "m"', "c").sequence_batching is None


def test_a_copy_shares_nothing() -> None:
    """Changing the copy of a config leaves the original as it was."""
    config = ModelConfig(
        input=[ModelInput(name="a", dims=[1])], parameters={"k": ModelParameter(string_value="v")}
    )
    changed = model_config.copy(config)
    assert changed == config
    changed.input[0].dims.append(2)
    changed.parameters["k"].string_value = "w"
    assert config.input[0].dims == [1]
    assert config.parameters["k"].string_value == "v"


def test_protobuf_is_imported_only_when_a_config_is_read() -> None:
    """Starting the server does not pay for Google's protobuf."""
    program = "import sys, inferd.models.model_config; sys.exit('google.protobuf' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
