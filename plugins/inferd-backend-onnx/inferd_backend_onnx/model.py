"""
A loaded ONNX model and its instances.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy.typing as npt

from inferd._generated.inference import DataType
from inferd.backend import (
    BackendError,
    Batch,
    Instance,
    Model,
    ModelInstanceGroupKind,
    Placement,
)
from inferd_backend_onnx.graph import Graph
from inferd_backend_onnx.plan import ARENA_SHRINKAGE, SessionPlan
from inferd_backend_onnx.running import Run, choose_run
from inferd_backend_onnx.runtime import LOG_ERRORS, Runtime, backend_error
from inferd_backend_onnx.session import Session, open_session
from inferd_backend_onnx.text import decode_inputs

Array = npt.NDArray[Any]
Planner = Callable[[ModelInstanceGroupKind, int], SessionPlan]


class OnnxModel(Model):
    """
    One version: its sessions, one per device unless the plan wants one per instance.

    Args:
        name: The model's name, for messages.
        runtime: ONNX Runtime.
        planner: Plans the session for a kind and a device.
        graph: The graph's signature.
        plan: How ``session`` was made.
        session: The session the version was validated with.
    """

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        planner: Planner,
        graph: Graph,
        plan: SessionPlan,
        session: Session,
    ) -> None:
        self._name = name
        self._runtime = runtime
        self._planner = planner
        self._graph = graph
        self._sessions: dict[SessionPlan, Session] = {plan: session}
        # Keeps its CPUs from other models, also where each instance has taken its session.
        self._plans = [plan]
        self._lock = threading.Lock()

    def create_instance(self, placement: Placement) -> Instance:
        """
        Make one instance.

        Raises:
            BackendError: The session for its device cannot be created.
        """
        plan = self._planner(placement.kind, placement.device_id)
        run = choose_run(self._runtime, self._session(plan), self._graph)
        options = _run_options(self._runtime, plan)
        text = [
            name
            for name, tensor in self._graph.accepted.items()
            if tensor.datatype == DataType.TYPE_STRING
        ]
        if text:
            return TextInstance(self._name, run, options, self._graph.required, text)
        return OnnxInstance(self._name, run, options, self._graph.required)

    def close(self) -> None:
        """Drop the sessions, and leave the CPUs to other models."""
        self._sessions.clear()
        self._plans.clear()

    def _session(self, plan: SessionPlan) -> Session:
        with self._lock:
            if plan.separate:
                # The first instance takes the session the version was validated with.
                session = self._sessions.pop(plan, None)
                return session or open_session(self._runtime, plan, self._name)
            if plan not in self._sessions:
                self._sessions[plan] = open_session(self._runtime, plan, self._name)
            return self._sessions[plan]


class OnnxInstance(Instance):
    """
    Runs a session.

    Args:
        model_name: The model's name, for messages.
        run: How to run it.
        run_options: ONNX Runtime's ``RunOptions``, for this instance alone.
        required: The inputs the graph cannot do without.
    """

    __slots__ = ("_model_name", "_required", "_run", "_run_options")

    def __init__(
        self, model_name: str, run: Run, run_options: Any, required: frozenset[str]
    ) -> None:
        self._model_name = model_name
        self._run = run
        self._run_options = run_options
        self._required = required

    def execute(self, batch: Batch) -> Sequence[Array]:
        """
        Return the requested outputs; the graph runs as a whole, others are not copied.

        Raises:
            BackendError: An input is missing or ONNX Runtime failed; its reason is on one
                line.
        """
        return self._compute(batch, batch.inputs)

    def close(self) -> None:
        """Let go of the session."""
        self._run = _closed

    def _compute(self, batch: Batch, feed: Mapping[str, Array]) -> Sequence[Array]:
        # Run without an input, a graph reads memory that is not there.
        if not self._required <= feed.keys():
            raise _incomplete(self._model_name, self._required - feed.keys())
        try:
            return self._run(batch.output_names, feed, self._run_options)
        except Exception as error:
            raise backend_error(error) from error


class TextInstance(OnnxInstance):
    """
    Runs a session that takes strings.

    Args:
        model_name: The model's name, for messages.
        run: How to run it.
        run_options: ONNX Runtime's ``RunOptions``, for this instance alone.
        required: The inputs the graph cannot do without.
        text: The inputs that are strings.
    """

    __slots__ = ("_text",)

    def __init__(
        self,
        model_name: str,
        run: Run,
        run_options: Any,
        required: frozenset[str],
        text: Sequence[str],
    ) -> None:
        super().__init__(model_name, run, run_options, required)
        self._text = text

    def execute(self, batch: Batch) -> Sequence[Array]:
        """
        Compute the requested outputs; strings come back as :class:`str`.

        Raises:
            InvalidRequest: A BYTES input is not UTF-8, in every request of the batch.
            BackendError: An input is missing or ONNX Runtime failed.
        """
        return self._compute(batch, decode_inputs(batch, self._text, self._model_name))


def _incomplete(model_name: str, missing: Iterable[str]) -> BackendError:
    names = ", ".join(f"'{name}'" for name in sorted(missing))
    return BackendError(f"model '{model_name}' cannot run without {names}")


def _run_options(runtime: Runtime, plan: SessionPlan) -> Any:
    # Kept for all runs: without one, ONNX Runtime makes one for each, a fifth of a small run.
    options = runtime.RunOptions()
    options.log_severity_level = LOG_ERRORS
    if plan.shrink_arenas:
        options.add_run_config_entry(ARENA_SHRINKAGE, plan.shrink_arenas)
    return options


def _closed(output_names: Sequence[str], feed: object, run_options: object) -> NoReturn:
    raise BackendError("the instance is closed")
