"""Scheduling configs that must be refused, by name: the config, and what the reason must say."""

from model_folders import tensors

HUGE = 2**64
TOO_LONG = 2**63 - 1


def _model(more: str, batch: int = 4) -> str:
    """Return an identity model of two numbers in and out."""
    return (
        f'backend: "identity" max_batch_size: {batch}\n'
        + tensors("input", "INPUT0", "INT32", [2])
        + tensors("output", "OUTPUT0", "INT32", [2])
        + more
    )


def _batching(fields: str, batch: int = 4) -> str:
    return _model(f"dynamic_batching {{ {fields} }}", batch)


def _sequences(fields: str, batch: int = 4) -> str:
    return _model(f"sequence_batching {{ {fields} }}", batch)


def _control(fields: str, name: str = "C") -> str:
    return f'control_input {{ name: "{name}" control {{ {fields} }} }}'


def _state(fields: str, names: str = 'input_name: "SI" output_name: "SO"') -> str:
    return _sequences(f"state {{ {names} {fields} }}")


def _initial(fields: str, name: str = 'name: "zero"') -> str:
    return _state(f"data_type: TYPE_INT32 dims: [ 2 ] initial_state {{ {name} {fields} }}")


def _warmup(tensor: str, sample: str = "batch_size: 1", name: str = "INPUT0") -> str:
    inputs = f'inputs {{ key: "{name}" value {{ {tensor} }} }}' if tensor else ""
    return _model(f'model_warmup {{ name: "w" {sample} {inputs} }}')


def _instances(fields: str) -> str:
    return _model(f"instance_group {{ {fields} }}")


def _step(reads: str, writes: str, model: str = "echo", version: int = -1) -> str:
    """Return a step whose maps are written as ``KEY=tensor KEY=tensor``."""
    maps = "".join(
        '{}_map {{ key: "{}" value: "{}" }} '.format(kind, *pair.split("="))
        for kind, pairs in (("input", reads), ("output", writes))
        for pair in pairs.split()
    )
    return f'step {{ model_name: "{model}" model_version: {version} {maps} }} '


def _ensemble(
    *steps: str, more: str = "", batch: int = 4, kind: str = "FP32", size: int = 2
) -> str:
    return (
        f'platform: "ensemble" max_batch_size: {batch}\n'
        + tensors("input", "A", kind, [size])
        + tensors("output", "Z", "FP32", [2])
        + f"ensemble_scheduling {{ {''.join(steps)} }}\n"
        + more
    )


START = "kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ]"
WHOLE = _step("INPUT0=A", "OUTPUT0=Z")
INT32 = "data_type: TYPE_INT32 dims: [ 2 ]"
ZERO = f"{INT32} zero_data: true"
SLOTS = "minimum slot utilization must be in range (0.0, 1.0] for "
RANGE = "Value out of range: "

DYNAMIC = {
    "preferred_zero": (_batching("preferred_batch_size: 0"), "preferred size must be positive"),
    "preferred_above": (_batching("preferred_batch_size: 5"), "must be <= max batch size"),
    "preferred_unbatched": (_batching("preferred_batch_size: 1", 0), "must be <= max batch size"),
    "negative_delay": (_batching("max_queue_delay_microseconds: -1"), RANGE + "-1"),
    "delay_too_large": (_batching(f"max_queue_delay_microseconds: {HUGE}"), f"{RANGE}{HUGE}"),
    "no_default_level": (_batching("priority_levels: 2"), "default priority level must be in"),
    "level_0_policy": (
        _batching(
            "priority_levels: 1 default_priority_level: 1 "
            "priority_queue_policy { key: 0 value { } }"
        ),
        "priority queue policy must have priority level in range [1, 1] for level_0_policy",
    ),
    "ordered_levels": (
        _batching("preserve_ordering: true priority_levels: 2 default_priority_level: 1"),
        "Only one priority level is allowed when 'preserve_ordering' is true",
    ),
    "ordered_delays": (
        _batching(
            "preserve_ordering: true default_queue_policy { timeout_action: DELAY "
            "default_timeout_microseconds: 1 }"
        ),
        "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true",
    ),
    "action_number": (
        _batching("default_queue_policy { timeout_action: 7 }"),
        "'dynamic_batching.default_queue_policy.timeout_action' has no value 7, it is one of "
        "REJECT, DELAY, for action_number",
    ),
    "action_name": (
        _batching("default_queue_policy { timeout_action: DROP }"),
        'TimeoutAction" has no value named DROP',
    ),
    "queue_too_large": (
        _batching(f"default_queue_policy {{ max_queue_size: {2**32} }}"),
        f"{RANGE}{2**32}",
    ),
    "negative_batch": (_batching("", -1), "'max_batch_size' must be non-negative value for"),
    "batch_too_large": (_batching("", 2**31), f"{RANGE}{2**31}"),
    "two_schedulers": (
        _model("dynamic_batching { } sequence_batching { }"),
        'Field "sequence_batching" is specified along with field "dynamic_batching"',
    ),
}

SEQUENCES = {
    "slots_negative": (_sequences("direct { minimum_slot_utilization: -0.1 }"), SLOTS),
    "slots_above": (_sequences("direct { minimum_slot_utilization: 1.5 }"), SLOTS),
    "slots_nan": (_sequences("direct { minimum_slot_utilization: nan }"), SLOTS),
    "two_strategies": (_sequences("direct { } oldest { }"), 'Field "oldest" is specified along'),
    "candidates": (
        _sequences("oldest { max_candidate_sequences: -1 }"),
        "sequence batching max candidate sequences must be non-negative for candidates",
    ),
    "oldest_preferred": (
        _sequences("oldest { preferred_batch_size: 5 }"),
        "sequence batching preferred batch size must be <= max batch size",
    ),
    "negative_idle": (_sequences("max_sequence_idle_microseconds: -1"), RANGE + "-1"),
    "nameless": (_sequences(_control(START, "")), "control tensor must have a name for"),
    "kind_number": (
        _sequences(_control("kind: 9 int32_false_true: [ 0, 1 ]")),
        "'sequence_batching.control_input[0].control[0].kind' has no value 9",
    ),
    "two_kinds": (
        _sequences(
            _control(f"{START} }} control {{ kind: CONTROL_SEQUENCE_END fp32_false_true: 0")
        ),
        "control tensor 'C' is specified for multiple control kinds",
    ),
    "not_ascii": (_sequences(_control(START, "größe") * 2), "control tensor 'größe' is specified"),
    "two_tensors": (
        _sequences(_control(START) + _control(START, "D")),
        "specifies multiple CONTROL_SEQUENCE_START tensors",
    ),
    "no_values": (
        _sequences(_control("kind: CONTROL_SEQUENCE_READY")),
        "'bool_false_true' for CONTROL_SEQUENCE_READY for no_values",
    ),
    "three_values": (
        _sequences(_control("kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1, 2 ]")),
        "'fp32_false_true' must have exactly 2 entries for CONTROL_SEQUENCE_START",
    ),
    "id_type": (
        _sequences(_control("kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32")),
        "unexpected data type for control CONTROL_SEQUENCE_CORRID for id_type",
    ),
    "control_is_input": (
        _sequences(_control(START, "INPUT0")),
        "control tensor 'INPUT0' is a model input, too, for control_is_input",
    ),
    "state_nameless": (_state(INT32, ""), "state must specify 'input_name' and 'output_name'"),
    "state_type": (_state("dims: [ 2 ]"), "state 'SI' must specify 'data_type'"),
    "state_dims": (
        _state("data_type: TYPE_INT32 dims: [ -2 ]"),
        "state 'SI' dimension must be integer >= 0, or -1",
    ),
    "state_size": (
        _state(f"data_type: TYPE_INT32 dims: [ {TOO_LONG} ]"),
        "cannot make the initial value of state 'SI' of state_size",
    ),
    "state_twice": (
        _sequences(f'state {{ input_name: "SI" output_name: "SO" {INT32} }} ' * 2),
        "State input name 'SI' specified more than once",
    ),
    "state_is_input": (
        _state(INT32, 'input_name: "INPUT0" output_name: "SO"'),
        "state input 'INPUT0' is a model input, too",
    ),
    "state_of_output": (
        _state("data_type: TYPE_FP32 dims: [ 2 ]", 'input_name: "SI" output_name: "OUTPUT0"'),
        "model output 'OUTPUT0' has data type TYPE_INT32, but the state it returns has TYPE_FP32",
    ),
    "initial_nameless": (_initial(ZERO, ""), "Field 'name' must be set"),
    "initial_type": (
        _initial("data_type: TYPE_FP32 dims: [ 2 ] zero_data: true"),
        "data type used",
    ),
    "initial_rank": (_initial("data_type: TYPE_INT32 dims: [ 2, 1 ] zero_data: true"), "2 != 1"),
    "initial_dims": (_initial("data_type: TYPE_INT32 dims: [ 3 ] zero_data: true"), "3 != 2"),
    "initial_empty": (_initial(INT32), "expects state'SI' to have state_data set"),
    "initial_file": (_initial(f'{INT32} data_file: "absent"'), "initial_state/absent"),
    "initial_escape": (_initial(f'{INT32} data_file: "../../x"'), "data_file '../../x' must stay"),
    "sequence_cache": (
        _sequences("") + "response_cache { enable: true }",
        "Response Cache does not currently support model sequence_cache with sequence batching",
    ),
}

INSTANCES = {
    "kind": (_instances("kind: 9"), "'instance_group[0].kind' has no value 9"),
    "too_many": (_instances("kind: KIND_CPU count: 2147483647"), "more than the 4096"),
    "cpu_gpus": (_instances("kind: KIND_CPU gpus: 0"), "KIND_CPU but specifies one or more GPUs"),
    "gpu_number": (
        _instances("kind: KIND_GPU gpus: 4242"),
        "instance group gpu_number_0 of model gpu_number specifies invalid or unsupported gpu id",
    ),
    "all_passive": (_instances("kind: KIND_CPU passive: true"), "that are not 'passive'"),
    "same_names": (
        _instances('name: "g" kind: KIND_CPU } instance_group { name: "g" kind: KIND_CPU'),
        "instance group 'g' is specified more than once for same_names",
    ),
}

WARMUP = {
    "warm_batch": (_warmup(ZERO, "batch_size: 5"), "'w' specifies batch_size 5 which is larger"),
    "warm_variable": (
        _warmup("data_type: TYPE_INT32 dims: -1 zero_data: true"),
        "expects all variable-size dimensions are specified for input 'INPUT0'",
    ),
    "warm_negative": (
        _warmup("data_type: TYPE_INT32 dims: -7 zero_data: true"),
        "model_warmup 'w' input 'INPUT0' dimension must be integer >= 0",
    ),
    "warm_size": (
        _warmup(f"data_type: TYPE_INT32 dims: {TOO_LONG} zero_data: true"),
        "warmup sample 'w': input 'INPUT0' has",
    ),
    "warm_dims": (
        _warmup("data_type: TYPE_INT32 dims: 3 zero_data: true"),
        "Expected [-1,2], got [1,3]",
    ),
    "warm_type": (
        _warmup("data_type: TYPE_FP32 dims: 2 zero_data: true"),
        "'INPUT0' data-type is 'FP32', but model 'warm_type' expects 'INT32'",
    ),
    "warm_typeless": (_warmup("dims: 2 zero_data: true"), "'INPUT0' must specify 'data_type'"),
    "warm_dataless": (_warmup(INT32), "input 'INPUT0' to have input_data_type set"),
    "warm_unknown": (_warmup(ZERO, name="X"), "model_warmup 'w' specifies unknown input 'X'"),
    "warm_missing": (_warmup(""), "missing required input(s) ['INPUT0']"),
    "warm_file": (_warmup(f'{INT32} input_data_file: "absent"'), "warmup/absent: No such file"),
    "warm_escape": (
        _warmup(f'{INT32} input_data_file: "../../x"'),
        "input_data_file '../../x' must stay within the model directory",
    ),
}

ENSEMBLES = {
    "no_steps": (_ensemble(), "must specify 'step' for ensemble 'no_steps'"),
    "no_model": (_ensemble(_step("INPUT0=A", "OUTPUT0=Z", "")), "must specify 'model_name' in"),
    "no_inputs": (_ensemble(_step("", "OUTPUT0=Z")), "must specify 'input_map' in step 0"),
    "no_outputs": (_ensemble(WHOLE, _step("INPUT0=A", "")), "must specify 'output_map' in step 1"),
    "unwritten": (
        _ensemble(_step("INPUT0=A", "OUTPUT0=b"), _step("INPUT0=c INPUT1=b", "OUTPUT0=Z")),
        "output 'Z' for ensemble 'unwritten' is not written: at least one of its depending "
        "tensors, 'c', is not connected",
    ),
    "circle": (
        _ensemble(_step("INPUT0=A INPUT1=c", "OUTPUT0=Z"), _step("INPUT0=Z", "OUTPUT0=c")),
        "output 'Z' for ensemble 'circle' is not written: at least one of its depending "
        "tensors, 'c', is not connected",
    ),
    "circle_apart": (
        _ensemble(WHOLE, _step("INPUT0=b", "OUTPUT0=c"), _step("INPUT0=c", "OUTPUT0=b")),
        "is unused in ensemble 'circle_apart'",
    ),
    "leads_nowhere": (
        _ensemble(WHOLE, _step("INPUT0=A", "OUTPUT0=q")),
        "ensemble tensor 'q' is unused in ensemble 'leads_nowhere'",
    ),
    "unused_input": (_ensemble(_step("INPUT0=b", "OUTPUT0=Z")), "ensemble input 'A' for ensemble"),
    "written_twice": (_ensemble(WHOLE, WHOLE), "'Z' can appear in an output map only once"),
    "writes_input": (
        _ensemble(WHOLE, _step("INPUT0=Z", "OUTPUT0=A")),
        "ensemble input 'A' can not appear in an output map of ensemble 'writes_input'",
    ),
    "no_such_model": (
        _ensemble(_step("INPUT0=A", "OUTPUT0=Z", "nowhere")),
        "contains models that are not available or ambiguous: nowhere",
    ),
    "itself": (
        _ensemble(_step("INPUT0=A", "OUTPUT0=Z", "itself")),
        "circular dependency between ensembles: itself -> ... -> itself -> itself",
    ),
    "no_such_version": (
        _ensemble(_step("INPUT0=A", "OUTPUT0=Z", version=7)),
        "depends on 'echo' whose required version 7 is not loaded",
    ),
    "no_such_input": (
        _ensemble(_step("INPUT0=A X=A", "OUTPUT0=Z")),
        "ensemble tensor A is mapping to non-existing input X in model echo",
    ),
    "no_such_output": (
        _ensemble(_step("INPUT0=A", "OUTPUT7=Z")),
        "ensemble tensor Z is mapped from non-existing output OUTPUT7 in model echo",
    ),
    "unmapped": (
        _ensemble(_step("INPUT0=A", "OUTPUT0=Z", "pair")),
        "input INPUT1 in model pair is not mapped to any ensemble tensors",
    ),
    "types": (
        _ensemble(WHOLE, kind="INT32"),
        "ensemble tensor A: inconsistent data type: TYPE_INT32 is inferred from model types "
        "while TYPE_FP32 is inferred from model echo",
    ),
    "shapes": (
        _ensemble(_step("INPUT0=A INPUT1=A", "OUTPUT0=Z", "pair"), size=3),
        "ensemble tensor A: inconsistent shape: [-1,3] is inferred from model shapes while "
        "[-1,2] is inferred from model pair",
    ),
    "batches": (
        _ensemble(WHOLE, batch=9),
        "allows maximum batch size 9, but it contains model echo which only allows maximum batch "
        "size to be 8",
    ),
    "with_instances": (_ensemble(WHOLE, more="instance_group { }"), "instance group should not"),
    "with_warmup": (_ensemble(WHOLE, more="model_warmup { }"), "model_warmup can not be specified"),
    "with_backend": (
        _ensemble(WHOLE, more='backend: "identity"'),
        "must have platform type 'ensemble' and empty backend type",
    ),
    "with_batching": (
        _ensemble(WHOLE, more="dynamic_batching { }"),
        'Field "dynamic_batching" is specified along with field "ensemble_scheduling"',
    ),
    "no_ensemble": (
        _model(f"ensemble_scheduling {{ {WHOLE} }}"),
        "ensemble scheduling cannot be set for model 'no_ensemble' whose platform is not ensemble",
    ),
}

BAD_CONFIGS: dict[str, tuple[str, str]] = {
    **DYNAMIC,
    **SEQUENCES,
    **INSTANCES,
    **WARMUP,
    **ENSEMBLES,
}
"""Model name -> its config without ``name``, and a part of the reason."""

PAIR = (
    'backend: "identity" max_batch_size: 8\n'
    + tensors("input", "INPUT0", "FP32", [2])
    + tensors("input", "INPUT1", "FP32", [2])
    + tensors("output", "OUTPUT0", "FP32", [2])
)
"""A sound model of two inputs, for the ensembles."""
