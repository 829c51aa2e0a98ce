"""Session options follow the model's parameters, the backend's settings and the CPUs."""

import pytest
from inferd_backend_onnx.plan import plan_session, setting_count, setting_flag
from inferd_backend_onnx.threads import ThreadBudget

from inferd._generated.inference import (
    ModelInstanceGroup,
    ModelOperations,
    ModelOptimizationPolicy,
    ModelOptimizationPolicyExecutionAccelerators,
    ModelOptimizationPolicyExecutionAcceleratorsAccelerator,
    ModelOptimizationPolicyGraph,
    ModelParameter,
)
from inferd.backend import BackendError, ModelInstanceGroupKind

CPU, GPU = ModelInstanceGroupKind.CPU, ModelInstanceGroupKind.GPU


@pytest.fixture(name="plan")
def _plan(make_context):
    """Return a function that plans a session for a model with these parameters."""

    def plan(parameters=None, settings=None, kind=CPU, device_id=0, weights=1 << 20, **fields):
        given = {k: ModelParameter(string_value=v) for k, v in (parameters or {}).items()}
        context = make_context(parameters=given, **fields)
        path = context.version_directory / "model.onnx"
        if not path.exists():
            path.write_bytes(b"x")
        (context.version_directory / "weights.bin").write_bytes(bytes(weights))
        return plan_session(context, settings or {}, kind, device_id, ThreadBudget(6))

    return plan


class TestThreads:
    """Threads of a session."""

    def test_default(self, plan):
        """Both instances together use the CPUs there are: each has its own and shares four."""
        assert plan().intra_op_threads == 5
        assert plan().inter_op_threads == 0

    @pytest.mark.parametrize(
        ("groups", "threads"),
        [
            ([(CPU, 1, [])], 6),
            ([(CPU, 0, []), (CPU, 1, [])], 4),
            ([(GPU, 1, [0, 1])], 5),
            ([(GPU, 0, [])], 6),
            ([(CPU, 9, [])], 1),
        ],
    )
    def test_more_instances_have_fewer_each(self, plan, groups, threads):
        """All of them run at once on the CPUs there are; a passive group has none."""
        made = [ModelInstanceGroup(kind=k, count=n, gpus=gpus) for k, n, gpus in groups]
        passive = ModelInstanceGroup(kind=CPU, count=3, passive=True)

        assert plan(instance_group=[*made, passive]).intra_op_threads == threads

    @pytest.mark.parametrize(("count", "threads"), [(1, 6), (2, 3), (4, 1), (7, 1)])
    def test_separate_sessions_divide(self, plan, count, threads):
        """Each instance has threads of its own."""
        groups = [ModelInstanceGroup(kind=CPU, count=count)]
        given = {"share_session_between_instances": "false"}

        assert plan(given, instance_group=groups).intra_op_threads == threads

    @pytest.mark.parametrize(("weights", "threads"), [((64 << 10) - 2, 1), ((64 << 10) - 1, 5)])
    def test_a_tiny_model_has_one(self, plan, weights, threads):
        """All files of the version count, since weights may lie beside the graph."""
        assert plan(weights=weights).intra_op_threads == threads

    def test_model_beats_backend(self, plan):
        """The model's own count beats --backend-config, which beats the default."""
        settings = {"intra_op_thread_count": "3", "inter_op_thread_count": "2"}

        assert plan(settings=settings).intra_op_threads == 3
        assert plan(settings=settings).inter_op_threads == 2
        assert plan({"intra_op_thread_count": "1"}, settings).intra_op_threads == 1
        assert plan({"inter_op_thread_count": "4"}, settings).inter_op_threads == 4

    def test_zero_is_the_default(self, plan):
        """As in Triton, 0 threads means as many as are good."""
        assert plan({"intra_op_thread_count": "0"}).intra_op_threads == 5

    def test_global_pool(self, plan):
        """Sessions share the process's threads when the backend is told so."""
        shared = plan(settings={"enable-global-threadpool": "1"})
        assert shared.global_threads
        assert (shared.intra_op_threads, shared.share) == (6, None)
        assert not plan().global_threads

    @pytest.mark.parametrize("text", ["many", "-1", "1.5", "²"])
    def test_bad_count(self, plan, text):
        """A count that is no number names the parameter, the model and the value."""
        with pytest.raises(BackendError) as caught:
            plan({"intra_op_thread_count": text})

        assert caught.value.message == (
            "parameter 'intra_op_thread_count' of model 'model' must be a number of at least 0, "
            f"got '{text}'"
        )


class TestOptions:
    """Other options."""

    def test_defaults(self, plan):
        """Nothing is turned off and operators run one after another."""
        made = plan()

        assert (made.mem_arena, made.mem_pattern, made.parallel) == (True, True, False)
        assert (made.libraries, made.shrink_arenas) == ((), "")
        assert made.entries == (("session.force_spinning_stop", "1"),)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("1", True), ("0", False), ("true", True), ("False", False), ("ON", True), ("no", False)],
    )
    def test_flags(self, plan, text, expected):
        """Truth values are 0 and 1, or the words of Triton's backends."""
        made = plan({"enable_mem_arena": text, "enable_mem_pattern": text, "execution_mode": text})

        assert (made.mem_arena, made.mem_pattern, made.parallel) == (expected,) * 3

    def test_bad_flag(self, plan):
        """Any other text names the parameter, the model and the value."""
        with pytest.raises(BackendError) as caught:
            plan({"execution_mode": "2"})

        assert caught.value.message == (
            "parameter 'execution_mode' of model 'model' must be 0 or 1, got '2'"
        )

    @pytest.mark.parametrize(
        ("level", "name"),
        [
            (-1, "ORT_ENABLE_BASIC"),
            (0, "ORT_ENABLE_ALL"),
            (1, "ORT_ENABLE_EXTENDED"),
            (2, "ORT_ENABLE_ALL"),
        ],
    )
    def test_graph_level(self, plan, level, name):
        """Triton's optimization levels have their ONNX Runtime names."""
        optimization = ModelOptimizationPolicy(graph=ModelOptimizationPolicyGraph(level=level))

        assert plan(optimization=optimization).graph_level == name

    @pytest.mark.parametrize("level", [-2, 3])
    def test_unknown_graph_level(self, plan, level):
        """Other levels are refused."""
        optimization = ModelOptimizationPolicy(graph=ModelOptimizationPolicyGraph(level=level))

        with pytest.raises(BackendError, match=f"must be -1, 0, 1 or 2, got {level}"):
            plan(optimization=optimization)

    def test_session_entries(self, plan):
        """Every session.* parameter goes to ONNX Runtime as it is."""
        made = plan({"session.intra_op.allow_spinning": "0", "other": "1"})

        assert dict(made.entries) == {
            "session.force_spinning_stop": "1",
            "session.intra_op.allow_spinning": "0",
        }

    def test_stated_entries_beat_the_defaults(self, plan):
        """Whoever wants threads to wait busily between runs may have it."""
        made = plan({"session.force_spinning_stop": "0"})

        assert dict(made.entries) == {"session.force_spinning_stop": "0"}

    def test_arena_shrinkage(self, plan):
        """Arenas to shrink are kept for the runs."""
        assert plan({"memory.enable_memory_arena_shrinkage": "cpu:0"}).shrink_arenas == "cpu:0"

    def test_custom_operators(self, plan, tmp_path):
        """A library is looked for in the model's folder, else taken as a path."""
        (tmp_path / "model").mkdir()
        beside = tmp_path / "model" / "ops.so"
        beside.touch()
        operations = ModelOperations(op_library_filename=["ops.so", "/opt/other.so"])

        assert plan(model_operations=operations).libraries == (str(beside), "/opt/other.so")


class TestSharing:
    """Which instances may share a session."""

    def test_same_place(self, plan):
        """Two instances on one device have equal plans."""
        assert plan(kind=GPU, device_id=1) == plan(kind=GPU, device_id=1)
        assert not plan().separate

    def test_other_device(self, plan):
        """Instances on two devices have different plans."""
        assert plan(kind=GPU, device_id=0) != plan(kind=GPU, device_id=1)

    def test_changed_file(self, plan, tmp_path):
        """A file that changed in between makes a different plan."""
        before = plan()
        (tmp_path / "model" / "1" / "model.onnx").write_bytes(b"longer")

        assert plan() != before

    def test_by_parameter(self, plan):
        """share_session_between_instances turns sharing off."""
        assert plan({"share_session_between_instances": "false"}).separate
        assert not plan({"share_session_between_instances": "true"}).separate

    @pytest.mark.parametrize(
        ("accelerator", "options", "separate"),
        [
            ("tensorrt", {}, True),
            ("cuda", {"enable_cuda_graph": "1"}, True),
            ("cuda", {"enable_cuda_graph": "0"}, False),
        ],
    )
    def test_by_accelerator(self, plan, accelerator, options, separate):
        """Providers whose runs would wait for each other get a session per instance."""
        optimization = ModelOptimizationPolicy(
            execution_accelerators=ModelOptimizationPolicyExecutionAccelerators(
                gpu_execution_accelerator=[
                    ModelOptimizationPolicyExecutionAcceleratorsAccelerator(
                        name=accelerator, parameters=options
                    )
                ]
            )
        )

        assert plan(kind=GPU, optimization=optimization).separate is separate


class TestModelFile:
    """Which file is loaded."""

    def test_named_by_the_config(self, make_context):
        """default_model_filename names the file."""
        context = make_context(default_model_filename="net.onnx")
        (context.version_directory / "net.onnx").touch()

        assert plan_session(context, {}, CPU, 0, ThreadBudget(1)).path.endswith("1/net.onnx")

    def test_folder(self, make_context):
        """A folder holds the model as model.onnx, whatever the folder's name."""
        context = make_context(default_model_filename="net")
        (context.version_directory / "net").mkdir()
        (context.version_directory / "net" / "model.onnx").touch()

        assert plan_session(context, {}, CPU, 0, ThreadBudget(1)).path.endswith("1/net/model.onnx")

    def test_missing(self, make_context):
        """A missing file is named with its path and model."""
        context = make_context()

        with pytest.raises(BackendError) as caught:
            plan_session(context, {}, CPU, 0, ThreadBudget(1))

        path = context.version_directory / "model.onnx"
        assert caught.value.message == f"unable to find '{path}' for model 'model'"


class TestSettings:
    """--backend-config values."""

    def test_defaults(self):
        """A value that is not set has its default."""
        assert setting_count({}, "default-max-batch-size", 4) == 4
        assert not setting_flag({}, "enable-global-threadpool")

    def test_zero_is_a_value(self):
        """0 is not the same as nothing."""
        assert setting_count({"default-max-batch-size": "0"}, "default-max-batch-size", 4) == 0

    def test_bad(self):
        """A value that cannot be read is named with its key."""
        with pytest.raises(BackendError) as caught:
            setting_count({"default-max-batch-size": "x"}, "default-max-batch-size")

        assert caught.value.message == (
            "--backend-config value 'default-max-batch-size' must be a number of at least 0, "
            "got 'x'"
        )
