"""
Opens ONNX Runtime sessions as planned, and keeps one from completion until the load.
"""

import threading
from collections import OrderedDict
from typing import Any, Final

from inferd.backend import BackendError
from inferd_backend_onnx.plan import SessionPlan
from inferd_backend_onnx.providers import CUDA, TENSORRT
from inferd_backend_onnx.runtime import LOG_ERRORS, Runtime, backend_error, preload_cuda

Session = Any
"""An ``onnxruntime.InferenceSession``."""

_WAITING_LIMIT: Final = 8


def open_session(runtime: Runtime, plan: SessionPlan, model_name: str) -> Session:
    """
    Create a session.

    Raises:
        BackendError: The file is no ONNX model, ONNX Runtime cannot run it, or it would not
            run where the plan puts it.
    """
    wanted = plan.providers[0][0]
    available = runtime.get_available_providers()
    for name, _ in plan.providers:
        if name not in available:
            raise BackendError(
                f"model '{model_name}' needs {name}, which the installed ONNX Runtime "
                f"{runtime.__version__} does not have; it has {', '.join(available)}"
            )
    if wanted in (CUDA, TENSORRT):
        preload_cuda(runtime)
    try:
        session = runtime.InferenceSession(
            plan.path,
            _options(runtime, plan),
            providers=[(name, dict(options)) for name, options in plan.providers],
        )
    except Exception as error:
        raise backend_error(error) from error
    # A provider that cannot start, say CUDA without a driver, is dropped without an
    # exception and the model would run on the CPU.
    running = session.get_providers()[0]
    if running != wanted:
        raise BackendError(
            f"model '{model_name}' was to run on {wanted}, but ONNX Runtime could not start it "
            f"and fell back to {running}"
        )
    return session


def _options(runtime: Runtime, plan: SessionPlan) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = LOG_ERRORS
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, plan.graph_level)
    options.intra_op_num_threads = plan.intra_op_threads
    options.inter_op_num_threads = plan.inter_op_threads
    if plan.parallel:
        options.execution_mode = runtime.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = plan.mem_arena
    options.enable_mem_pattern = plan.mem_pattern
    if plan.global_threads:
        options.use_per_session_threads = False
    for key, value in plan.entries:
        options.add_session_config_entry(key, value)
    for library in plan.libraries:
        options.register_custom_ops_library(library)
    return options


class WaitingSessions:
    """
    Sessions opened to complete a config, until the model loads and takes them over.

    Opening one is most of the time a load takes, so it is done once. A model that fails
    between the two steps leaves its session here until it is prepared again or enough
    other models are; the limit bounds what that can hold on to.
    """

    def __init__(self, limit: int = _WAITING_LIMIT) -> None:
        self._limit = limit
        self._waiting: OrderedDict[tuple[str, int], tuple[SessionPlan, Session]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, model: tuple[str, int], plan: SessionPlan, session: Session) -> None:
        """Keep a session of a (model, version), instead of an earlier one."""
        with self._lock:
            self._waiting.pop(model, None)
            self._waiting[model] = (plan, session)
            while len(self._waiting) > self._limit:
                self._waiting.popitem(last=False)

    def take(self, model: tuple[str, int], plan: SessionPlan) -> Session | None:
        """Return the kept session if it is what the plan would make; forget it either way."""
        with self._lock:
            kept = self._waiting.pop(model, None)
        return kept[1] if kept is not None and kept[0] == plan else None
