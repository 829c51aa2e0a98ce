"""ONNX Runtime is imported late, its errors are one line, and its two wheels do not mix."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from inferd_backend_onnx import runtime

from inferd.backend import BackendError


class TestImport:
    """Importing ONNX Runtime."""

    def test_is_late(self):
        """Listing and importing the plugin does not import ONNX Runtime."""
        code = (
            "import sys, inferd_backend_onnx; inferd_backend_onnx.OnnxBackend({}); "
            "sys.exit('onnxruntime' in sys.modules)"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_missing(self, monkeypatch):
        """Without ONNX Runtime the error says which extra to install."""
        monkeypatch.setitem(sys.modules, "onnxruntime", None)

        with pytest.raises(BackendError) as caught:
            runtime.import_runtime()

        assert "install inferd-backend-onnx[cpu], or inferd-backend-onnx[gpu]" in str(caught.value)
        assert "\n" not in str(caught.value)


class TestShareThreads:
    """One pool of threads for the process."""

    def test_sizes_arrive(self):
        """ONNX Runtime gets both sizes."""
        got = []
        module = SimpleNamespace(set_global_thread_pool_sizes=lambda *sizes: got.append(sizes))

        runtime.share_threads(module, 3, 1)

        assert got == [(3, 1)]

    def test_old_runtime(self):
        """An ONNX Runtime that cannot says which one can."""
        with pytest.raises(BackendError) as caught:
            runtime.share_threads(SimpleNamespace(__version__="1.20.0"), 3, 1)

        assert caught.value.message == (
            "enable-global-threadpool needs ONNX Runtime 1.23, this is 1.20.0"
        )


class TestDistributions:
    """The two distributions of one module."""

    def test_finds_the_installed_one(self):
        """The tests run with one of them."""
        assert len(runtime.installed_distributions()) == 1

    def test_warns_of_both(self, caplog):
        """Both at once are told in the log with what to do."""
        runtime.warn_of_conflict({"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"})

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "onnxruntime and onnxruntime-gpu are both installed" in record.getMessage()

    @pytest.mark.parametrize("installed", [{}, {"onnxruntime": "1.32.0"}])
    def test_does_not_warn_of_one(self, caplog, installed):
        """One is how it should be."""
        runtime.warn_of_conflict(installed)

        assert caplog.records == []


class TestErrors:
    """Errors as clients see them."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions\n index: 1",
                "onnx runtime error 2: Got invalid dimensions index: 1",
            ),
            (
                "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from m.onnx failed:"
                "Protobuf parsing failed.",
                "onnx runtime error 7: Load model from m.onnx failed:Protobuf parsing failed.",
            ),
            ("something  else", "onnx runtime error: something else"),
            ("", "onnx runtime error: RuntimeError"),
        ],
    )
    def test_one_line_with_the_code(self, text, expected):
        """ONNX Runtime's code and reason are kept, its line breaks are not."""
        assert runtime.backend_error(RuntimeError(text)).message == expected


def test_importing_it_writes_nothing_into_the_home_folder(tmp_path):
    """ONNX Runtime's own telemetry is off, unless the operator wants it."""
    code = "from inferd_backend_onnx.runtime import import_runtime; import_runtime()"
    environ = {**os.environ, "HOME": str(tmp_path)}
    environ.pop("ORT_DISABLE_TELEMETRY", None)
    environ.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)

    assert list(tmp_path.iterdir()) == []
