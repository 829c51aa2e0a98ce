"""One session serves completion, validation and execution; settings reach it."""

import subprocess
import sys
import textwrap

import onnxruntime
import pytest
from inferd_backend_onnx import OnnxBackend

from inferd._generated.inference import DataType, ModelInput, ModelInstanceGroup, ModelOutput
from inferd.backend import BackendError, ModelInstanceGroupKind, Placement
from inferd.backends.loader import BackendLoader

CPU, GPU = ModelInstanceGroupKind.CPU, ModelInstanceGroupKind.GPU


@pytest.fixture(name="opened")
def _opened(monkeypatch) -> list[str]:
    """Return the paths of sessions opened in the test."""
    paths: list[str] = []
    create = onnxruntime.InferenceSession

    def note(path, *arguments, **options):
        paths.append(path)
        return create(path, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", note)
    return paths


@pytest.fixture(name="context")
def _context(make_context, onnx_files):
    """Return an add/sub model whose config says nothing."""
    context = make_context()
    onnx_files.add_sub(context.version_directory / "model.onnx")
    return context


def fill(context) -> None:
    """Give a config its inputs and outputs."""
    context.config.input = [
        ModelInput(name=f"INPUT{i}", data_type=DataType.TYPE_FP32, dims=[-1, 16]) for i in range(2)
    ]
    context.config.output = [
        ModelOutput(name=f"OUTPUT{i}", data_type=DataType.TYPE_FP32, dims=[-1, 16])
        for i in range(2)
    ]


class TestSessions:
    """How often the file is read."""

    def test_once_from_completion_to_execution(self, context, opened):
        """A version is read once: to complete its config, validate it and run it twice."""
        backend = OnnxBackend({})
        backend.complete_config(context)
        model = backend.load(context)
        for index in range(2):
            model.create_instance(Placement(f"m_{index}", CPU))

        assert len(opened) == 1

    def test_complete_config_reads_nothing(self, context, opened):
        """A config with inputs and outputs is not completed, so the file is read by the load."""
        fill(context)
        backend = OnnxBackend({})

        assert backend.complete_config(context) is context.config
        assert opened == []
        backend.load(context)
        assert len(opened) == 1

    def test_completion_without_a_load(self, context, opened):
        """A model prepared twice before it loads serves from the latest reading."""
        backend = OnnxBackend({})
        backend.complete_config(context)
        context.config.input = []
        backend.complete_config(context)
        backend.load(context)

        assert len(opened) == 2

    def test_file_replaced_in_between(self, context, opened, onnx_files):
        """A file that changes between completion and load is read again and checked."""
        backend = OnnxBackend({})
        backend.complete_config(context)
        onnx_files.add_sub(context.version_directory / "model.onnx", onnx_files.types.DOUBLE)

        with pytest.raises(BackendError, match="configuration expects datatype TYPE_FP32"):
            backend.load(context)
        assert len(opened) == 2


class TestSettings:
    """--backend-config=onnxruntime,..."""

    @pytest.mark.parametrize(("value", "expected"), [("16", 16), ("1", 1), ("0", 0)])
    def test_default_max_batch_size(self, context, value, expected):
        """The batch size of models that state none is the operator's choice."""
        backend = OnnxBackend({"default-max-batch-size": value})

        assert backend.complete_config(context).max_batch_size == expected

    def test_default_without_settings(self, context):
        """It is 4, and dynamic batching is on."""
        config = OnnxBackend({}).complete_config(context)

        assert config.max_batch_size == 4
        assert config.dynamic_batching is not None

    def test_bad_setting(self, context):
        """A setting that is no number makes the model fail with the setting's name."""
        with pytest.raises(BackendError, match="'default-max-batch-size' must be a number"):
            OnnxBackend({"default-max-batch-size": "lots"}).complete_config(context)

    def test_global_threadpool(self, context):
        """Sessions on the process's shared threads answer; it is process-wide, so in a new one."""
        code = textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from inferd.backend import ModelConfig, ModelContext, ModelInstanceGroupKind, Placement
            from inferd_backend_onnx import OnnxBackend

            directory = Path(sys.argv[1])
            config = ModelConfig(name="model", backend="onnxruntime")
            context = ModelContext("model", 1, config, directory, directory / "1")
            backend = OnnxBackend(
                {"enable-global-threadpool": "1", "intra_op_thread_count": "2"}
            )
            backend.complete_config(context)
            model = backend.load(context)
            run = model.create_instance(Placement("m_0", ModelInstanceGroupKind.CPU))._run
            import numpy
            ones = numpy.ones((1, 16), "f4")
            print(run(["OUTPUT0"], {"INPUT0": ones, "INPUT1": ones}, None)[0][0, 0])
            """
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(context.model_directory)],
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout == "2.0\n"
        assert done.stderr == ""


class TestDescription:
    """What the server asks the backend."""

    def test_version(self):
        """The start-up table shows ONNX Runtime's version."""
        assert OnnxBackend({}).framework_version == onnxruntime.__version__

    def test_version_without_runtime(self, monkeypatch):
        """Without ONNX Runtime there is no version, and asking is no error."""
        monkeypatch.setattr("inferd_backend_onnx.runtime.DISTRIBUTIONS", ("not-installed",))

        assert OnnxBackend({}).framework_version == ""

    def test_gpus(self):
        """Models go to GPUs by themselves only where ONNX Runtime is built for them."""
        expected = "CUDAExecutionProvider" in onnxruntime.get_available_providers()

        assert OnnxBackend({}).uses_gpus is expected

    def test_defaults(self):
        """A version folder holds model.onnx; a CPU group has two instances."""
        assert OnnxBackend.default_filename == "model.onnx"
        assert OnnxBackend.cpu_instance_count == 2

    @pytest.mark.parametrize("name", ["onnxruntime", "onnx"])
    def test_names(self, name):
        """Both names in a model config lead here."""
        assert isinstance(BackendLoader({}).load(name), OnnxBackend)


class TestPlaces:
    """Where the first session goes."""

    @pytest.mark.parametrize("gpus", [[1], []])
    def test_gpu_group(self, context, gpus):
        """A GPU group is tried on its device at once, not after a session on the CPU."""
        context.config.instance_group = [ModelInstanceGroup(kind=GPU, gpus=gpus, count=1)]
        if OnnxBackend({}).uses_gpus:
            pytest.skip("this ONNX Runtime is built for GPUs")

        with pytest.raises(BackendError, match="needs CUDAExecutionProvider"):
            OnnxBackend({}).load(context)

    def test_cpu_group_first(self, context):
        """With a CPU group first, the version is validated on the CPU."""
        context.config.instance_group = [
            ModelInstanceGroup(kind=CPU, count=1),
            ModelInstanceGroup(kind=GPU, gpus=[0], count=1),
        ]
        backend = OnnxBackend({})
        backend.complete_config(context)

        assert backend.load(context).create_instance(Placement("m_0", CPU))
