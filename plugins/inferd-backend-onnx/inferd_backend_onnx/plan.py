"""
Decides everything about a session before it is created.

A :class:`SessionPlan` is a value: two equal plans make sessions that can stand in for
each other, which is how a session opened to complete a config is found again when the
model loads, and how instances come to share one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from inferd.backend import BackendError, ModelConfig, ModelContext, ModelInstanceGroupKind
from inferd_backend_onnx.providers import TENSORRT, Provider, choose_providers
from inferd_backend_onnx.threads import Share, ThreadBudget

MODEL_FILENAME: Final = "model.onnx"

CPU_INSTANCES: Final = 2
"""Instances of a ``KIND_CPU`` group that states no count, as in Triton."""

_GRAPH_LEVELS: Final = {
    -1: "ORT_ENABLE_BASIC",
    0: "ORT_ENABLE_ALL",
    1: "ORT_ENABLE_EXTENDED",
    2: "ORT_ENABLE_ALL",
}
"""``optimization.graph.level`` -> ONNX Runtime's level."""

ARENA_SHRINKAGE: Final = "memory.enable_memory_arena_shrinkage"
"""The model parameter, and the entry of ONNX Runtime's run options it becomes."""

_TRUE: Final = frozenset({"1", "true", "on", "yes"})
_FALSE: Final = frozenset({"0", "false", "off", "no"})

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """
    How one session is created.

    Attributes:
        path: The model file.
        stamp: Modification time (ns) and size (bytes) of the file.
        providers: Execution providers, the preferred one first.
        intra_op_threads: Threads one operator may use.
        inter_op_threads: Threads operators may run on side by side; 0 is ONNX Runtime's
            choice.
        parallel: Whether operators may run side by side.
        graph_level: Name of the graph optimization level.
        mem_arena: Whether the CPU memory arena is used.
        mem_pattern: Whether memory is planned ahead from earlier runs.
        global_threads: Whether sessions share the process's thread pools.
        entries: Session config entries, ``session.*``.
        libraries: Libraries of custom operators.
        shrink_arenas: Arenas to give memory back after each run, such as ``cpu:0``.
        separate: Whether every instance needs a session of its own.
        share: The CPUs its threads were taken from, kept from other models meanwhile.
    """

    path: str
    stamp: tuple[int, int]
    providers: tuple[Provider, ...]
    intra_op_threads: int
    inter_op_threads: int
    parallel: bool
    graph_level: str
    mem_arena: bool
    mem_pattern: bool
    global_threads: bool
    entries: tuple[tuple[str, str], ...]
    libraries: tuple[str, ...]
    shrink_arenas: str
    separate: bool
    share: Share | None = field(default=None, compare=False, repr=False)


_TINY_BYTES: Final = 64 << 10
"""
A version folder smaller than this has operators too small to share among threads: its
session starts none, which saves 45 ms of processor time each at start-up.
"""

_STOP_SPINNING = ("session.force_spinning_stop", "1")
"""
Threads wait busily within a run, not after it. Left on, they take a core from the event
loop and the other models for some 15 ms after each run; a run itself is as fast.
"""


def plan_session(
    context: ModelContext,
    settings: Mapping[str, str],
    kind: ModelInstanceGroupKind,
    device_id: int,
    budget: ThreadBudget,
) -> SessionPlan:
    """
    Return the plan for instances of one kind on one device.

    Args:
        context: The version.
        settings: The backend's settings; the model's own parameters beat them.
        kind: Where the instances run.
        device_id: The GPU, for ``KIND_GPU``.
        budget: Where the threads come from when nothing says how many.

    Raises:
        BackendError: There is no model file or a parameter cannot be understood.
    """
    path = model_file(context)
    status = path.stat()
    read = _Parameters(context, settings)
    providers = choose_providers(context, kind, device_id)
    shares = read.flag("share_session_between_instances", default=True)
    separate = not shares or not _may_share(providers)
    has_global_threads = setting_flag(settings, "enable-global-threadpool")
    threads, share = read.count("intra_op_thread_count"), None
    if not threads and has_global_threads:
        threads = budget.cpus
    elif not threads:
        threads, share = _threads(context, budget, separate)
    return SessionPlan(
        path=str(path),
        stamp=(status.st_mtime_ns, status.st_size),
        providers=providers,
        intra_op_threads=threads,
        inter_op_threads=read.count("inter_op_thread_count"),
        parallel=read.flag("execution_mode", default=False),
        graph_level=_graph_level(context),
        mem_arena=read.flag("enable_mem_arena", default=True),
        mem_pattern=read.flag("enable_mem_pattern", default=True),
        global_threads=has_global_threads,
        entries=_session_entries(context),
        libraries=tuple(_libraries(context)),
        shrink_arenas=context.parameter(ARENA_SHRINKAGE),
        separate=separate,
        share=share,
    )


def model_file(context: ModelContext) -> Path:
    """
    Return the version's ONNX file; a folder of that name holds it as ``model.onnx``.

    Raises:
        BackendError: It is not there.
    """
    path = context.version_directory / (context.config.default_model_filename or MODEL_FILENAME)
    if path.is_dir():
        path = path / MODEL_FILENAME
    if not path.is_file():
        raise BackendError(f"unable to find '{path}' for model '{context.name}'")
    return path


def setting_count(settings: Mapping[str, str], key: str, default: int = 0) -> int:
    """
    Return a backend setting that is a number of at least 0.

    Raises:
        BackendError: It is not.
    """
    return _parse(settings.get(key, ""), default, _count, f"--backend-config value '{key}'")


def setting_flag(settings: Mapping[str, str], key: str) -> bool:
    """
    Return a backend setting that is a truth value; ``False`` when it is not set.

    Raises:
        BackendError: It is none.
    """
    return _parse(settings.get(key, ""), False, _flag, f"--backend-config value '{key}'")


class _Parameters:
    """Reads model parameters, with the backend's settings of the same name underneath."""

    def __init__(self, context: ModelContext, settings: Mapping[str, str]) -> None:
        self._context = context
        self._settings = settings

    def count(self, key: str) -> int:
        default = setting_count(self._settings, key)
        return _parse(self._context.parameter(key), default, _count, self._owner(key))

    def flag(self, key: str, *, default: bool) -> bool:
        return _parse(self._context.parameter(key), default, _flag, self._owner(key))

    def _owner(self, key: str) -> str:
        return f"parameter '{key}' of model '{self._context.name}'"


def _parse(text: str, default: Value, parse: Callable[[str], Value | None], owner: str) -> Value:
    if not text:
        return default
    value = parse(text)
    if value is None:
        kind = "0 or 1" if parse is _flag else "a number of at least 0"
        raise BackendError(f"{owner} must be {kind}, got '{text}'")
    return value


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _flag(text: str) -> bool | None:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else None


def _graph_level(context: ModelContext) -> str:
    optimization = context.config.optimization
    graph = None if optimization is None else optimization.graph
    level = 0 if graph is None else graph.level
    if level not in _GRAPH_LEVELS:
        raise BackendError(
            f"optimization.graph.level of model '{context.name}' must be -1, 0, 1 or 2, got {level}"
        )
    return _GRAPH_LEVELS[level]


def _libraries(context: ModelContext) -> list[str]:
    operations = context.config.model_operations
    names = [] if operations is None else operations.op_library_filename
    beside_model = (context.model_directory / name for name in names)
    return [
        str(path) if path.is_file() else name
        for name, path in zip(names, beside_model, strict=True)
    ]


def _may_share(providers: tuple[Provider, ...]) -> bool:
    # ONNX Runtime allows concurrent runs of one session, so instances share weights and
    # threads. TensorRT serialises them with a lock, and a captured CUDA graph has one set of
    # buffers: there, instances that share a session would not run side by side.
    return not any(
        name == TENSORRT or ("enable_cuda_graph", "1") in options for name, options in providers
    )


def _session_entries(context: ModelContext) -> tuple[tuple[str, str], ...]:
    stated = {
        key: value.string_value
        for key, value in context.config.parameters.items()
        if key.startswith("session.")
    }
    return tuple({_STOP_SPINNING[0]: _STOP_SPINNING[1], **stated}.items())


def _threads(
    context: ModelContext, budget: ThreadBudget, separate: bool
) -> tuple[int, Share | None]:
    """Return the threads of one operator when nobody states them, and where they come from."""
    # Weights may be in other files.
    files = (path for path in context.version_directory.rglob("*") if path.is_file())
    if sum(path.stat().st_size for path in files) < _TINY_BYTES:
        return 1, None
    version = context.name, context.version
    share = budget.share(version, _instances(context.config), separate=separate)
    return share.threads, share


def _instances(config: ModelConfig) -> int:
    """Return how many instances a config asks for, completed or not."""
    if not config.instance_group:
        return CPU_INSTANCES
    counts = [
        group.count * max(1, len(group.gpus))
        or (1 if group.kind == ModelInstanceGroupKind.GPU else CPU_INSTANCES)
        for group in config.instance_group
        if not group.passive
    ]
    return max(1, sum(counts))
