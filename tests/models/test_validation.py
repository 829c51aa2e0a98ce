"""Tests of the check of a whole model config."""

import pytest

from inferd.errors import InvalidRequest, LoadFailed
from inferd.models import completion, model_config, validation

OUTPUT = 'output { name: "O" data_type: TYPE_FP32 dims: 1 }'
ONNX = f'name: "m" backend: "onnxruntime" platform: "onnxruntime_onnx" {OUTPUT}'
STATE = 'input_name: "S" output_name: "T" data_type: TYPE_FP32 dims: 1'
INITIAL = 'name: "i" data_type: TYPE_FP32 dims: 1'


def _validate(text: str, *, directory_name: str = "m", gpu_count: int = 0) -> None:
    config = model_config.parse_text(text, "config.pbtxt")
    completion.complete_defaults(config, cpu_instance_count=1, gpu_count=gpu_count)
    validation.validate(config, directory_name=directory_name, gpu_count=gpu_count)


def _warmup(sample: str, tensor: str = "data_type: TYPE_FP32 dims: 1 zero_data: true") -> str:
    return (
        f'{ONNX} max_batch_size: 4 input {{ name: "I" data_type: TYPE_FP32 dims: 1 }} '
        f'model_warmup {{ name: "w" {sample} inputs {{ key: "I" value {{ {tensor} }} }} }}'
    )


@pytest.mark.parametrize(
    "text",
    [
        ONNX,
        f'name: "m" backend: "identity" {OUTPUT}',
        f'name: "m" backend: "identity" platform: "anything" {OUTPUT}',
        f'name: "m" backend: "python" {OUTPUT}',
        f'name: "m" backend: "pytorch" platform: "libtorch" {OUTPUT}',
        f'name: "m" backend: "pytorch" platform: "torch_aoti" {OUTPUT}',
        f"{ONNX} max_batch_size: 0",
        f"{ONNX} max_batch_size: 8 dynamic_batching {{ }}",
        f"{ONNX} max_batch_size: 8 sequence_batching {{ }}",
        f"{ONNX} response_cache {{ enable: true }}",
        f"{ONNX} response_cache {{ }} model_transaction_policy {{ decoupled: true }}",
        f"{ONNX} response_cache {{ }} sequence_batching {{ }}",
        f"{ONNX} response_cache {{ enable: true }} model_transaction_policy {{ }}",
        f"{ONNX} model_metrics {{ metric_control {{ metric_identifier {{ family: 'f' }} "
        "histogram_options { buckets: 1 } } }",
        f'{ONNX} default_model_filename: "sub/net.onnx"',
        f'{ONNX} default_model_filename: "../net..onnx"',
        f'{ONNX} cc_model_filenames {{ key: "7.5" value: "a.onnx" }}',
        f"{ONNX} sequence_batching {{ state {{ {STATE} initial_state {{ {INITIAL} "
        'data_file: "f" } } }',
        _warmup("batch_size: 4"),
        _warmup("batch_size: 1", "data_type: TYPE_FP32 dims: 1 random_data: true"),
        _warmup("batch_size: 1", 'data_type: TYPE_STRING dims: 1 input_data_file: "f"'),
        _warmup("batch_size: 0", "dims: -1"),
    ],
)
def test_sound_configs_are_accepted(text: str) -> None:
    """A config Triton serves is not refused."""
    _validate(text)


@pytest.mark.parametrize(
    "name",
    [
        "START",
        "STATE",
        "BATCH",
    ],
)
def test_warm_up_may_set_inputs_the_server_makes(name: str) -> None:
    """A warm-up sample may name control, state and batch inputs, as in Triton."""
    _validate(
        f'{ONNX} input {{ name: "I" data_type: TYPE_FP32 dims: 1 }} '
        'batch_input { target_name: "BATCH" data_type: TYPE_FP32 source_input: "I" } '
        'sequence_batching { control_input { name: "START" } state { input_name: "STATE" '
        'output_name: "T" data_type: TYPE_FP32 dims: 1 } } '
        f'model_warmup {{ name: "w" batch_size: 1 inputs {{ key: "{name}" value {{ '
        "data_type: TYPE_FP32 dims: 1 zero_data: true } } }"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "model configuration must specify 'name'"),
        (
            'name: "other"',
            "unexpected directory name 'm' for model 'other', directory name must equal model name",
        ),
        ('name: "m"', "must specify 'platform' or 'backend' for 'm'"),
        ('name: "m" platform: "odd"', "unexpected platform type 'odd' for m"),
        (
            'name: "m" platform: "ensemble" backend: "onnxruntime"',
            "Ensemble model 'm' must have platform type 'ensemble' and empty backend type",
        ),
        (
            'name: "m" platform: "tensorrt_plan" backend: "onnxruntime"',
            "unexpected 'platform' and 'backend' pair, got:tensorrt_plan, onnxruntime",
        ),
        (
            'name: "m" backend: "tensorflow"',
            "unexpected 'platform' and 'backend' pair, got:, tensorflow",
        ),
        (f"{ONNX} max_batch_size: -1", "'max_batch_size' must be non-negative value for m"),
        (
            f"{ONNX} dynamic_batching {{ preferred_batch_size: 1 }}",
            "dynamic batching preferred size must be <= max batch size for m",
        ),
        (
            f"{ONNX} sequence_batching {{ control_input {{ }} }}",
            "sequence batching control tensor must have a name for m",
        ),
        (
            f"{ONNX} sequence_batching {{ }} response_cache {{ enable: true }}",
            "Response Cache does not currently support model m with sequence batching scheduler. "
            "Please disable the response cache.",
        ),
        (
            f"{ONNX} model_transaction_policy {{ decoupled: true }} "
            "response_cache { enable: true }",
            "Response Cache does not currently support model m with 'decoupled' transaction "
            "policy. Please disable the response cache.",
        ),
        (
            'name: "m" platform: "ensemble"',
            "ensemble scheduling must be set for ensemble m whose platform is ensemble",
        ),
        (
            f"{ONNX} ensemble_scheduling {{ }}",
            "ensemble scheduling cannot be set for model 'm' whose platform is not ensemble",
        ),
        (
            f"{ONNX} model_metrics {{ metric_control {{ }} }}",
            "metric control must specify 'metric_identifier'",
        ),
        (
            f"{ONNX} model_metrics {{ metric_control {{ metric_identifier {{ }} }} }}",
            "metric identifier must specify non-empty 'family'",
        ),
        (
            f"{ONNX} model_metrics {{ metric_control {{ metric_identifier {{ family: 'f' }} }} }}",
            "metric control must specify 'histogram_options'",
        ),
        (
            f"{ONNX} model_metrics {{ metric_control {{ metric_identifier {{ family: 'f' }} "
            "histogram_options { } } }",
            "histogram options must specify non-empty 'buckets'",
        ),
        (
            'name: "m" backend: "identity"',
            "model configuration must contain at least one output, none were specified.",
        ),
        (
            f"{ONNX} batch_input {{ }}",
            "batch input kind 'BATCH_ELEMENT_COUNT' expects 1 source input, got 0 for m",
        ),
        (
            f"{ONNX} instance_group {{ kind: KIND_GPU }}",
            "instance group m_0 of model m has kind KIND_GPU but no GPUs are available",
        ),
    ],
)
def test_what_triton_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    """The first thing wrong with a config is named in Triton's words."""
    with pytest.raises(LoadFailed) as caught:
        _validate(text)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            _warmup("batch_size: 5"),
            "model_warmup 'w' specifies batch_size 5 which is larger than the maximum batch size "
            "of m",
        ),
        (
            f'{ONNX} model_warmup {{ name: "w" batch_size: 2 }}',
            "model_warmup 'w' specifies batch_size 2 which is larger than the maximum batch size "
            "of m",
        ),
        (
            f'{ONNX} model_warmup {{ name: "w" batch_size: 1 inputs {{ key: "X" }} }}',
            "model_warmup 'w' specifies unknown input 'X' for m",
        ),
        (
            _warmup("batch_size: 1", "dims: 1"),
            "model_warmup 'w' input 'I' must specify 'data_type' for m",
        ),
        (
            _warmup("batch_size: 1", "data_type: TYPE_FP32 dims: [ 1, -1 ] zero_data: true"),
            "warmup setting expects all variable-size dimensions are specified for input 'I'",
        ),
        (
            _warmup("batch_size: 1", "data_type: TYPE_FP32 dims: -2 zero_data: true"),
            "model_warmup 'w' input 'I' dimension must be integer >= 0 for m",
        ),
        (
            f"{ONNX} dynamic_batching {{ default_queue_policy {{ timeout_action: 7 }} }}",
            "'dynamic_batching.default_queue_policy.timeout_action' has no value 7, it is one of "
            "REJECT, DELAY, for m",
        ),
        (
            f'{ONNX} max_batch_size: 4 sequence_batching {{ control_input {{ name: "C" control '
            "{ kind: 9 int32_false_true: [ 0, 1 ] } } }",
            "'sequence_batching.control_input[0].control[0].kind' has no value 9, it is one of "
            "CONTROL_SEQUENCE_START, CONTROL_SEQUENCE_READY, CONTROL_SEQUENCE_END, "
            "CONTROL_SEQUENCE_CORRID, for m",
        ),
        (
            f'{ONNX} input {{ name: "S" data_type: TYPE_FP32 dims: 1 }} sequence_batching {{ '
            f"state {{ {STATE} }} }}",
            "sequence batching state input 'S' is a model input, too, for m",
        ),
        (
            _warmup("batch_size: 1", "data_type: TYPE_FP32 dims: 1"),
            "warmup setting expects input 'I' to have input_data_type set",
        ),
    ],
)
def test_a_warm_up_that_cannot_run_is_refused(text: str, message: str) -> None:
    """A warm-up sample that could not run is refused before the model is loaded."""
    with pytest.raises(LoadFailed) as caught:
        _validate(text)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            f'{ONNX} default_model_filename: "/etc/passwd"',
            "default_model_filename '/etc/passwd'",
        ),
        (
            f'{ONNX} default_model_filename: "../../other/1/model.onnx"',
            "default_model_filename '../../other/1/model.onnx'",
        ),
        (
            f'{ONNX} cc_model_filenames {{ key: "7.5" value: "../../x" }}',
            "cc_model_filenames '../../x'",
        ),
        (
            _warmup("batch_size: 1", 'data_type: TYPE_FP32 dims: 1 input_data_file: "../../x"'),
            "input_data_file '../../x'",
        ),
        (
            f"{ONNX} sequence_batching {{ state {{ {STATE} initial_state {{ {INITIAL} "
            'data_file: "/x" } } }',
            "data_file '/x'",
        ),
    ],
)
def test_a_models_files_lie_in_its_folder(text: str, what: str) -> None:
    """A config, which may come from a client, cannot name files of other models or the system."""
    with pytest.raises(LoadFailed) as caught:
        _validate(text)
    assert caught.value.message == f"{what} must stay within the model directory for m"


@pytest.mark.parametrize("name", ["simple", "a.b", "..a", "a..b", "modèle", "*"])
def test_ordinary_model_names_are_accepted(name: str) -> None:
    """Any name a folder of the repository can have may be asked for."""
    validation.validate_model_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Model name cannot be empty. Please enter a valid name to deploy."),
        *(
            (
                name,
                f"invalid model name '{name}', model name must not contain path traversal "
                "characters",
            )
            for name in ("..", ".", "../m", "a/b", "/m", "a\\b", "a\0b")
        ),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, message: str) -> None:
    """A model name of a request cannot leave the repository."""
    with pytest.raises(InvalidRequest) as caught:
        validation.validate_model_name(name)
    assert caught.value.message == message
