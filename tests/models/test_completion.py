"""Tests of what the server fills in where a model config is silent."""

import json
from pathlib import Path

import pytest

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models import completion, model_config


def _config(text: str) -> ModelConfig:
    return model_config.parse_text(text, "config.pbtxt")


def _detected(text: str, *entries: str, folder: Path | None = None) -> tuple[str, str, str]:
    """Detect with a version folder of files, or of folders where the name ends in a slash."""
    config = _config(text)
    if folder is not None:
        for entry in entries:
            path = folder / entry
            path.mkdir() if entry.endswith("/") else path.touch()
    completion.detect_backend(config, version_directory=folder)
    return config.backend, config.platform, config.default_model_filename


def _completed(text: str, *, cpus: int = 1, gpus: int = 0) -> ModelConfig:
    config = _config(text)
    completion.complete_defaults(config, cpu_instance_count=cpus, gpu_count=gpus)
    return config


GRAPHDEF = ("tensorflow", "tensorflow_graphdef", "model.graphdef")
SAVEDMODEL = ("tensorflow", "tensorflow_savedmodel", "model.savedmodel")
PLAN = ("tensorrt", "tensorrt_plan", "model.plan")
ONNX = ("onnxruntime", "onnxruntime_onnx", "model.onnx")
OPENVINO = ("openvino", "", "model.xml")
TORCHSCRIPT = ("pytorch", "pytorch_libtorch", "model.pt")
AOTI = ("pytorch", "torch_aoti", "model.pt2")
PYTHON = ("python", "", "model.py")
EVERY_FORMAT = [GRAPHDEF, SAVEDMODEL, PLAN, ONNX, OPENVINO, TORCHSCRIPT, AOTI, PYTHON]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("model.graphdef", GRAPHDEF),
        ("model.savedmodel/", SAVEDMODEL),
        ("model.plan", PLAN),
        ("model.onnx", ONNX),
        ("model.onnx/", ONNX),
        ("model.xml", OPENVINO),
        ("model.pt", TORCHSCRIPT),
        ("model.pt2", AOTI),
        ("model.py", PYTHON),
    ],
)
def test_the_model_file_tells_the_backend(
    tmp_path: Path, entry: str, expected: tuple[str, str, str]
) -> None:
    """Without a word in the config, the file in the version folder decides."""
    assert _detected('name: "m"', entry, folder=tmp_path) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (("model.graphdef", "model.savedmodel/"), GRAPHDEF),
        (("model.onnx", "model.plan"), PLAN),
        (("model.py", "model.pt"), TORCHSCRIPT),
        (("model.pt2", "model.pt"), TORCHSCRIPT),
        (("model.plan/", "model.onnx"), ONNX),
        (("model.savedmodel", "model.py"), PYTHON),
    ],
)
def test_the_first_known_file_wins(
    tmp_path: Path, entries: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    """Of several model files the first in Triton's order is taken, of the right kind only."""
    assert _detected('name: "m"', *entries, folder=tmp_path) == expected


@pytest.mark.parametrize("expected", EVERY_FORMAT, ids=lambda row: row[2])
def test_the_config_tells_the_backend_without_a_version(expected: tuple[str, str, str]) -> None:
    """A platform or a file name is enough, even before a version folder exists."""
    backend, platform, filename = expected
    assert _detected(f'name: "m" default_model_filename: "{filename}"') == expected
    if platform:
        assert _detected(f'name: "m" platform: "{platform}"') == expected
        assert _detected(f'name: "m" platform: "{platform}" backend: "{backend}"') == expected


@pytest.mark.parametrize("expected", [PLAN, ONNX, OPENVINO, TORCHSCRIPT, PYTHON])
def test_a_backend_alone_implies_its_usual_format(expected: tuple[str, str, str]) -> None:
    """A config that names only the backend gets its platform and file name."""
    assert _detected(f'name: "m" backend: "{expected[0]}"') == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'platform: "onnxruntime_onnx" default_model_filename: "net.onnx"',
            ("onnxruntime", "onnxruntime_onnx", "net.onnx"),
        ),
        (
            'backend: "onnxruntime" default_model_filename: "net.onnx"',
            ("onnxruntime", "onnxruntime_onnx", "net.onnx"),
        ),
        (
            'platform: "onnxruntime_onnx" default_model_filename: "model.plan"',
            ("onnxruntime", "onnxruntime_onnx", "model.plan"),
        ),
        ('platform: "libtorch"', ("pytorch", "libtorch", "model.pt")),
        ('backend: "pytorch" runtime: "model.py"', ("pytorch", "pytorch_libtorch", "")),
        ('backend: "tensorflow"', ("tensorflow", "", "")),
        ('backend: "onnxruntime" platform: "odd"', ("onnxruntime", "odd", "model.onnx")),
        (
            'platform: "odd" default_model_filename: "model.onnx"',
            ("onnxruntime", "odd", "model.onnx"),
        ),
        ('backend: "identity"', ("identity", "", "")),
        ('backend: "identity" platform: "mine"', ("identity", "mine", "")),
        ('platform: "ensemble"', ("", "ensemble", "")),
        ('platform: "odd"', ("", "odd", "")),
        ('default_model_filename: "net.bin"', ("", "", "net.bin")),
    ],
)
def test_what_the_config_states_is_kept(text: str, expected: tuple[str, str, str]) -> None:
    """Detection adds what is missing and changes nothing, even if it makes no sense."""
    assert _detected(f'name: "m" {text}') == expected


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ('backend: "tensorflow"', "model.graphdef", GRAPHDEF),
        ('backend: "pytorch"', "model.pt2", AOTI),
        ('backend: "onnxruntime"', "model.plan", ONNX),
        ('backend: "identity"', "model.onnx", ("identity", "", "")),
        ('platform: "tensorrt_plan"', "model.onnx", PLAN),
        ('default_model_filename: "model.py"', "model.onnx", PYTHON),
    ],
)
def test_the_config_outranks_the_files(
    tmp_path: Path, text: str, entry: str, expected: tuple[str, str, str]
) -> None:
    """The version folder only decides between what the config leaves open."""
    assert _detected(f'name: "m" {text}', entry, folder=tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.identity", ("identity", "", "model.identity")),
        ("a.b.c", ("b.c", "", "model.b.c")),
    ],
)
def test_the_name_may_tell_the_backend(
    tmp_path: Path, name: str, expected: tuple[str, str, str]
) -> None:
    """A model called <anything>.<backend> needs neither config nor known file."""
    assert _detected(f'name: "{name}"') == expected
    assert _detected(f'name: "{name}"', "weights", folder=tmp_path) == expected


def test_nothing_to_tell_the_backend_fails_the_load() -> None:
    """A model nobody can identify is refused in Triton's words."""
    with pytest.raises(LoadFailed) as caught:
        _detected('name: "simple"')
    assert caught.value.message == (
        "Invalid model name: Could not determine backend for model 'simple' with no backend in "
        "model configuration. Expected model name of the form 'model.<backend_name>'."
    )


def test_the_config_of_a_minimal_model_is_tritons() -> None:
    """The /config of a minimal ONNX model equals Triton's, field by field and in order."""
    tensors = "".join(
        f'{kind} {{ name: "{kind.upper()}0" data_type: TYPE_INT32 dims: 16 }}'
        for kind in ("input", "output")
    )
    config = _config(f'name: "simple" max_batch_size: 8 platform: "onnxruntime_onnx" {tensors}')
    completion.detect_backend(config, version_directory=None)
    completion.complete_defaults(config, cpu_instance_count=2, gpu_count=0)
    assert json.dumps(model_config.to_json(config), separators=(",", ":")) == (
        '{"name":"simple","platform":"onnxruntime_onnx","backend":"onnxruntime","runtime":"",'
        '"version_policy":{"latest":{"num_versions":1}},"max_batch_size":8,'
        '"input":[{"name":"INPUT0","data_type":"TYPE_INT32","format":"FORMAT_NONE","dims":[16],'
        '"is_shape_tensor":false,"allow_ragged_batch":false,"optional":false,'
        '"is_non_linear_format_io":false}],'
        '"output":[{"name":"OUTPUT0","data_type":"TYPE_INT32","dims":[16],"label_filename":"",'
        '"is_shape_tensor":false,"is_non_linear_format_io":false}],'
        '"batch_input":[],"batch_output":[],'
        '"optimization":{"priority":"PRIORITY_DEFAULT","input_pinned_memory":{"enable":true},'
        '"output_pinned_memory":{"enable":true},"gather_kernel_buffer_threshold":0,'
        '"eager_batching":false},'
        '"instance_group":[{"name":"simple","kind":"KIND_CPU","count":2,"gpus":[],'
        '"secondary_devices":[],"profile":[],"passive":false,"host_policy":""}],'
        '"default_model_filename":"model.onnx","cc_model_filenames":{},"metric_tags":{},'
        '"parameters":{},"model_warmup":[]}'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "version_policy { latest { num_versions: 1 } }"),
        ("version_policy { all { } }", "version_policy { all { } }"),
        ("version_policy { latest { num_versions: 3 } }",) * 2,
        (
            "max_batch_size: 8 dynamic_batching { }",
            "max_batch_size: 8 dynamic_batching { preferred_batch_size: 8 }",
        ),
        ("max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 }",) * 2,
        ("dynamic_batching { }",) * 2,
        ("sequence_batching { }", "sequence_batching { max_sequence_idle_microseconds: 1000000 }"),
        ("sequence_batching { max_sequence_idle_microseconds: 1 direct { } }",) * 2,
        (
            "max_batch_size: 4 sequence_batching { oldest { } }",
            "max_batch_size: 4 sequence_batching { max_sequence_idle_microseconds: 1000000 "
            "oldest { preferred_batch_size: 4 } }",
        ),
        (
            "optimization { input_pinned_memory { } }",
            "optimization { input_pinned_memory { } output_pinned_memory { enable: true } }",
        ),
        (
            "optimization { graph { level: 1 } output_pinned_memory { } }",
            "optimization { graph { level: 1 } input_pinned_memory { enable: true } "
            "output_pinned_memory { } }",
        ),
    ],
)
def test_defaults_are_filled_in(text: str, expected: str) -> None:
    """Only what a config leaves out is filled in; what it states stays."""
    completed = _completed(f'name: "m" {text}')
    wanted = _config(f'name: "m" {expected}')
    assert completed.dynamic_batching == wanted.dynamic_batching
    assert completed.sequence_batching == wanted.sequence_batching
    if wanted.version_policy is not None:
        assert completed.version_policy == wanted.version_policy
    if wanted.optimization is not None:
        assert completed.optimization == wanted.optimization


@pytest.mark.parametrize(
    ("text", "gpus", "expected"),
    [
        ("", 0, 'name: "m" kind: KIND_CPU count: 3'),
        ("", 2, 'name: "m" kind: KIND_GPU count: 1 gpus: [ 0, 1 ]'),
        ("instance_group { }", 0, 'name: "m_0" kind: KIND_CPU count: 3'),
        ("instance_group { count: 1 }", 0, 'name: "m_0" kind: KIND_CPU count: 1'),
        ("instance_group { count: -1 }", 0, 'name: "m_0" kind: KIND_CPU count: 3'),
        ("instance_group { kind: KIND_MODEL }", 2, 'name: "m_0" kind: KIND_MODEL count: 1'),
        ("instance_group { kind: KIND_CPU }", 2, 'name: "m_0" kind: KIND_CPU count: 3'),
        ("instance_group { kind: KIND_GPU }", 0, 'name: "m_0" kind: KIND_GPU count: 1'),
        (
            "instance_group { kind: KIND_GPU gpus: 1 count: 2 }",
            2,
            'name: "m_0" kind: KIND_GPU gpus: 1 count: 2',
        ),
        ("instance_group { gpus: 1 }", 2, 'name: "m_0" kind: KIND_GPU gpus: 1 count: 1'),
        ("instance_group { gpus: 2 }", 2, 'name: "m_0" kind: KIND_CPU gpus: 2 count: 3'),
        ("instance_group { gpus: -1 }", 2, 'name: "m_0" kind: KIND_CPU gpus: -1 count: 3'),
        ("instance_group { gpus: 0 }", 0, 'name: "m_0" kind: KIND_CPU gpus: 0 count: 3'),
    ],
)
def test_instance_groups_are_normalised(text: str, gpus: int, expected: str) -> None:
    """A group gets a name, a kind the machine has, a count, and all GPUs if it names none."""
    completed = _completed(f'name: "m" {text}', cpus=3, gpus=gpus)
    assert completed.instance_group == _config(f"instance_group {{ {expected} }}").instance_group


def test_unnamed_groups_are_numbered() -> None:
    """Groups without a name are called by their place in the list."""
    completed = _completed('name: "m" instance_group [ { }, { name: "own" }, { } ]')
    assert [group.name for group in completed.instance_group] == ["m_0", "own", "m_2"]


def test_an_ensemble_has_no_instances() -> None:
    """An ensemble runs nothing itself and gets neither instances nor optimization."""
    completed = _completed('name: "e" platform: "ensemble" ensemble_scheduling { }')
    assert completed.instance_group == []
    assert completed.optimization is None
    assert completed.version_policy is not None
