"""
ONNX Runtime itself: importing it when it is first needed, and its errors as ours.

It is the only module of the package that imports ``onnxruntime``, which two distributions
provide; which one is installed is the user's choice (see the README).
"""

import logging
import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from inferd.backend import BackendError

logger = logging.getLogger(__name__)

Runtime = Any
"""The ``onnxruntime`` module, which carries no types."""

DISTRIBUTIONS: Final = ("onnxruntime", "onnxruntime-gpu")
"""The distributions that provide the module."""

LOG_ERRORS: Final = 3
"""ONNX Runtime's severity that keeps warnings out of the log."""

_ERROR = re.compile(r"\[ONNXRuntimeError\] : (\d+) : \w+ : (.*)")


def import_runtime() -> Runtime:
    """
    Import ONNX Runtime; it logs nothing below errors from then on.

    Its own telemetry, which writes into the user's home folder, is off unless the
    environment says ``ORT_DISABLE_TELEMETRY=0``.

    Raises:
        BackendError: It is not installed or cannot be imported; the message says what
            to install.
    """
    # Read while the module is imported; switching it off afterwards is too late.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"ONNX Runtime cannot be imported ({one_line(error)}): install "
            "inferd-backend-onnx[cpu], or inferd-backend-onnx[gpu] to use NVIDIA GPUs"
        ) from error
    onnxruntime.set_default_logger_severity(LOG_ERRORS)
    return onnxruntime


def preload_cuda(runtime: Runtime) -> None:
    """
    Load the CUDA and cuDNN libraries that came as wheels; the GPU providers need them.

    ONNX Runtime finds them in ``site-packages/nvidia`` only when it is told to look, and
    prints what is missing. Releases before 1.21 could not look.
    """
    if hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()


def share_threads(runtime: Runtime, intra_op: int, inter_op: int) -> None:
    """
    Give the process one pool of threads of these sizes for all sessions that want it.

    Raises:
        BackendError: This ONNX Runtime cannot; 1.23 was the first that could.
    """
    if not hasattr(runtime, "set_global_thread_pool_sizes"):
        raise BackendError(
            f"enable-global-threadpool needs ONNX Runtime 1.23, this is {runtime.__version__}"
        )
    runtime.set_global_thread_pool_sizes(intra_op, inter_op)


def installed_distributions() -> dict[str, str]:
    """Return the name and version of each installed distribution that provides the module."""
    found: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def warn_of_conflict(installed: dict[str, str]) -> None:
    """Log a warning when two distributions have written over each other's files."""
    if len(installed) > 1:
        logger.warning(
            "%s are both installed and overwrite each other's files, so it is a matter of "
            "chance which one runs: uninstall both, then install the one you want",
            " and ".join(installed),
        )


def backend_error(error: Exception) -> BackendError:
    """Return ONNX Runtime's error on one line, in the form Triton shows it."""
    text = one_line(error)
    found = _ERROR.match(text)
    if found is not None:
        return BackendError(f"onnx runtime error {found[1]}: {found[2].strip()}")
    return BackendError(f"onnx runtime error: {text or type(error).__name__}")


def one_line(error: Exception) -> str:
    """Return the error's text without line breaks."""
    return " ".join(str(error).split())
