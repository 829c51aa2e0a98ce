"""
The backend: configs completed from ONNX files, versions loaded into ONNX Runtime.
"""

import threading
from collections.abc import Mapping
from functools import partial

from inferd.backend import (
    API_VERSION,
    Backend,
    Model,
    ModelConfig,
    ModelContext,
    ModelInstanceGroupKind,
    usable_cpus,
)
from inferd_backend_onnx.completion import complete, needs_completion
from inferd_backend_onnx.graph import read_graph
from inferd_backend_onnx.model import OnnxModel
from inferd_backend_onnx.plan import (
    CPU_INSTANCES,
    MODEL_FILENAME,
    SessionPlan,
    plan_session,
    setting_count,
    setting_flag,
)
from inferd_backend_onnx.providers import CUDA
from inferd_backend_onnx.runtime import (
    Runtime,
    import_runtime,
    installed_distributions,
    share_threads,
    warn_of_conflict,
)
from inferd_backend_onnx.session import WaitingSessions, open_session
from inferd_backend_onnx.threads import ThreadBudget
from inferd_backend_onnx.validation import check_config

_DEFAULT_MAX_BATCH_SIZE = 4


class OnnxBackend(Backend):
    """
    Runs ONNX models.

    Settings: ``default-max-batch-size`` (4; 0 turns inferred batching off),
    ``intra_op_thread_count``, ``inter_op_thread_count``, ``enable-global-threadpool``.
    """

    API_VERSION = API_VERSION
    default_filename = MODEL_FILENAME
    cpu_instance_count = CPU_INSTANCES

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._runtime: Runtime | None = None
        self._waiting = WaitingSessions()
        self._budget = ThreadBudget(usable_cpus())
        self._lock = threading.Lock()

    @property
    def framework_version(self) -> str:
        """ONNX Runtime's version, read without importing it; ``""`` if it is not installed."""
        return next(iter(installed_distributions().values()), "")

    @property
    def uses_gpus(self) -> bool:
        """Whether the installed ONNX Runtime is built for NVIDIA GPUs."""
        return CUDA in self._start().get_available_providers()

    def complete_config(self, context: ModelContext) -> ModelConfig:
        """
        Fill in what a config without inputs or without outputs leaves out.

        Raises:
            BackendError: The file cannot be read or contradicts the config, or ONNX
                Runtime is not installed.
        """
        config = context.config
        if not needs_completion(config):
            return config
        default = setting_count(self.settings, "default-max-batch-size", _DEFAULT_MAX_BATCH_SIZE)
        runtime = self._start()
        plan = self._plan(context, *_home(config))
        session = open_session(runtime, plan, context.name)
        complete(config, read_graph(session), default)
        self._waiting.put((context.name, context.version), plan, session)
        return config

    def load(self, context: ModelContext) -> Model:
        """
        Load one version.

        Raises:
            BackendError: The file cannot be read or does not fit the config, the config
                asks for something that does not exist, or ONNX Runtime is not installed.
        """
        runtime = self._start()
        plan = self._plan(context, *_home(context.config))
        session = self._waiting.take((context.name, context.version), plan)
        if session is None:
            session = open_session(runtime, plan, context.name)
        graph = read_graph(session)
        check_config(context.config, graph)
        return OnnxModel(context.name, runtime, partial(self._plan, context), graph, plan, session)

    def _plan(
        self, context: ModelContext, kind: ModelInstanceGroupKind, device_id: int
    ) -> SessionPlan:
        return plan_session(context, self.settings, kind, device_id, self._budget)

    def _start(self) -> Runtime:
        """Import ONNX Runtime the first time it is needed."""
        with self._lock:
            if self._runtime is None:
                runtime = import_runtime()
                warn_of_conflict(installed_distributions())
                if setting_flag(self.settings, "enable-global-threadpool"):
                    share_threads(
                        runtime,
                        setting_count(self.settings, "intra_op_thread_count") or self._budget.cpus,
                        setting_count(self.settings, "inter_op_thread_count"),
                    )
                self._runtime = runtime
            return self._runtime


def _home(config: ModelConfig) -> tuple[ModelInstanceGroupKind, int]:
    """Return where the first instance will run, as far as the config says."""
    for group in config.instance_group[:1]:
        if group.kind == ModelInstanceGroupKind.GPU:
            return group.kind, next(iter(group.gpus), 0)
    return ModelInstanceGroupKind.CPU, 0
