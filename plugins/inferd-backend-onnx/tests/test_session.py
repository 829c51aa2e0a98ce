"""Sessions are created as planned, and where the plan says or not at all."""

from dataclasses import replace
from types import SimpleNamespace

import onnxruntime
import pytest
from inferd_backend_onnx.plan import SessionPlan, plan_session
from inferd_backend_onnx.session import WaitingSessions, open_session
from inferd_backend_onnx.threads import ThreadBudget

from inferd.backend import BackendError, ModelInstanceGroupKind


@pytest.fixture(name="plan")
def _plan(make_context, onnx_files) -> SessionPlan:
    """Return the plan for an add/sub model on the CPU."""
    context = make_context()
    onnx_files.add_sub(context.version_directory / "model.onnx")
    return plan_session(context, {}, ModelInstanceGroupKind.CPU, 0, ThreadBudget(2))


class CudaRuntime:
    """ONNX Runtime with CUDA built in and, perhaps, a driver; it has no GPU to run on."""

    __version__ = "1.99"
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
    ExecutionMode = onnxruntime.ExecutionMode
    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, works: bool) -> None:
        self.works = works
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.preloaded = 0

    def preload_dlls(self):
        """Count the calls."""
        self.preloaded += 1

    def get_available_providers(self):
        """CUDA is listed whether it works or not."""
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, path, options, providers):
        """Fall back to the CPU without a word if CUDA does not work."""
        self.asked = providers
        names = [name for name, _ in providers]
        return SimpleNamespace(get_providers=lambda: names if self.works else names[-1:])


def on_gpu(plan: SessionPlan) -> SessionPlan:
    """Return the plan for GPU 1."""
    providers = (
        ("CUDAExecutionProvider", (("device_id", "1"),)),
        ("CPUExecutionProvider", ()),
    )
    return replace(plan, providers=providers)


class TestOpen:
    """Creating a session."""

    def test_cuda_libraries_are_loaded_before_a_gpu_session(self, plan):
        """ONNX Runtime does not look for those that came as wheels by itself."""
        runtime = CudaRuntime(works=True)
        open_session(runtime, plan, "m")
        assert runtime.preloaded == 0
        open_session(runtime, on_gpu(plan), "m")

        assert runtime.preloaded == 1

    def test_options_arrive(self, plan):
        """What the plan says is what ONNX Runtime gets."""
        session = open_session(
            onnxruntime,
            replace(
                plan,
                intra_op_threads=1,
                inter_op_threads=2,
                parallel=True,
                mem_arena=False,
                mem_pattern=False,
                graph_level="ORT_ENABLE_BASIC",
                entries=(("session.intra_op.allow_spinning", "0"),),
            ),
            "m",
        )

        options = session.get_session_options()
        assert options.intra_op_num_threads == 1
        assert options.inter_op_num_threads == 2
        assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
        assert not options.enable_cpu_mem_arena
        assert not options.enable_mem_pattern
        assert options.graph_optimization_level.name == "ORT_ENABLE_BASIC"
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert options.log_severity_level == 3

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "graph"),
            (b"junk\n" * 50, "Protobuf parsing failed."),
            (None, "Protobuf parsing failed."),
        ],
        ids=["empty", "junk", "truncated"],
    )
    def test_file_that_is_no_model(self, plan, content, reason):
        """A broken file is told with its path and ONNX Runtime's reason, on one line."""
        with open(plan.path, "r+b") as file:
            whole = file.read()
            file.seek(0)
            file.truncate()
            file.write(whole[: len(whole) // 2] if content is None else content)

        with pytest.raises(BackendError) as caught:
            open_session(onnxruntime, plan, "m")

        message = caught.value.message
        assert message.startswith("onnx runtime error ")
        assert plan.path in message
        assert reason in message
        assert "\n" not in message

    def test_bad_library(self, plan):
        """A library of operators that cannot be loaded is the model's error."""
        with pytest.raises(BackendError, match=r"nowhere\.so"):
            open_session(onnxruntime, replace(plan, libraries=("nowhere.so",)), "m")

    def test_provider_that_is_not_installed(self, plan):
        """A GPU instance on a CPU-only ONNX Runtime is refused, not run on the CPU."""
        with pytest.raises(BackendError) as caught:
            open_session(onnxruntime, on_gpu(plan), "m")

        assert caught.value.message.startswith(
            f"model 'm' needs CUDAExecutionProvider, which the installed ONNX Runtime "
            f"{onnxruntime.__version__} does not have; it has "
        )

    def test_provider_that_cannot_start(self, plan):
        """ONNX Runtime's silent fall-back to the CPU is an error."""
        with pytest.raises(BackendError) as caught:
            open_session(CudaRuntime(works=False), on_gpu(plan), "m")

        assert caught.value.message == (
            "model 'm' was to run on CUDAExecutionProvider, but ONNX Runtime could not start it "
            "and fell back to CPUExecutionProvider"
        )

    def test_provider_that_works(self, plan):
        """A GPU instance gets its device."""
        runtime = CudaRuntime(works=True)

        session = open_session(runtime, on_gpu(plan), "m")

        assert session.get_providers()[0] == "CUDAExecutionProvider"
        assert runtime.asked[0] == ("CUDAExecutionProvider", {"device_id": "1"})


class TestWaitingSessions:
    """Sessions between completion and load."""

    def test_taken_once(self, plan):
        """The load gets the session that completed the config, and only that load."""
        waiting = WaitingSessions()
        waiting.put(("m", 1), plan, "session")

        assert waiting.take(("m", 1), plan) == "session"
        assert waiting.take(("m", 1), plan) is None

    def test_other_version(self, plan):
        """Another version of the model is another file."""
        waiting = WaitingSessions()
        waiting.put(("m", 1), plan, "session")

        assert waiting.take(("m", 2), plan) is None

    def test_other_plan(self, plan):
        """A session made otherwise is not used, and not kept."""
        waiting = WaitingSessions()
        waiting.put(("m", 1), plan, "session")

        assert waiting.take(("m", 1), replace(plan, intra_op_threads=7)) is None
        assert waiting.take(("m", 1), plan) is None

    def test_prepared_again(self, plan):
        """The newest session of a model is the one that waits."""
        waiting = WaitingSessions()
        waiting.put(("m", 1), plan, "old")
        waiting.put(("m", 1), plan, "new")

        assert waiting.take(("m", 1), plan) == "new"

    def test_limit(self, plan):
        """Models that fail to load cannot hold on to more than so many sessions."""
        waiting = WaitingSessions(limit=2)
        for name in "abc":
            waiting.put((name, 1), plan, name)

        assert waiting.take(("a", 1), plan) is None
        assert waiting.take(("b", 1), plan) == "b"
        assert waiting.take(("c", 1), plan) == "c"
