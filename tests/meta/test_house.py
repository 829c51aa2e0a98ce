"""The house rules that a machine can check."""

import ast
from pathlib import Path

import pytest

from inferd.frontends.grpc import errors as grpc_errors
from inferd.frontends.http import errors as http_errors

ROOT = Path(__file__).parents[2]
PACKAGES = {
    ROOT / "inferd": ROOT / "tests",
    ROOT / "kernels" / "inferd_kernels": ROOT / "kernels" / "tests",
    ROOT / "plugins" / "inferd-backend-onnx" / "inferd_backend_onnx": ROOT
    / "plugins"
    / "inferd-backend-onnx"
    / "tests",
}
FILES = sorted(
    path for package in PACKAGES for path in package.rglob("*.py") if "_generated" not in path.parts
)
TESTED_ELSEWHERE = {
    # Tested through what uses them: real clients, or the suite all implementations share.
    "inferd/__main__.py": "tests/test_main.py",
    "inferd/backend.py": "tests/testing/test_conformance.py",
    "inferd/errors.py": "tests/frontends/http/test_errors.py",
    "inferd/cli/own_flags.py": "tests/cli/test_flags.py",
    "inferd/cli/serve.py": "tests/end_to_end/test_start_and_stop.py",
    "inferd/frontends/grpc/native_call.py": "tests/frontends/grpc/test_call.py",
    "inferd/frontends/grpc/native_watch.py": "tests/frontends/grpc/test_connection_watch.py",
    "inferd/frontends/grpc/starting.py": "tests/frontends/grpc/test_direct.py",
    "inferd/models/loaded.py": "tests/models/test_registry.py",
    "inferd/scheduling/snapshot.py": "tests/scheduling/test_history.py",
    **dict.fromkeys(
        (
            f"kernels/inferd_kernels/{name}.py"
            for name in ("cpu", "cuda/kernels", "cuda/launcher", "cuda/staging", "cuda/cuda_python")
        ),
        "kernels/tests/test_kernel_sets.py",
    ),
}


def names(path: Path) -> str:
    """Return a path for the test's name."""
    return str(path.relative_to(ROOT))


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function's docstring takes."""
    return len((ast.get_docstring(node, clean=False) or "").splitlines())


def expected_tests(path: Path) -> Path:
    """Return where the tests of a module are expected."""
    package, tests = next((root, tests) for root, tests in PACKAGES.items() if root in path.parents)
    return tests / path.relative_to(package).parent / f"test_{path.stem}.py"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_a_file_is_short_and_says_what_it_is_for(path):
    """At most 400 lines, a docstring first unless it is empty, functions of at most 50 lines."""
    text = path.read_text()
    tree = ast.parse(text)

    assert len(text.splitlines()) <= 400
    assert not tree.body or ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno - docstring_lines(node) < 50, node.name


def test_no_test_or_native_file_is_long():
    """At most 400 lines, as for the modules."""
    tests = [path for root in PACKAGES.values() for path in root.rglob("*.py")]
    native = [path for suffix in ("pyx", "pxi") for path in ROOT.glob(f"kernels/**/*.{suffix}")]

    assert tests
    assert native
    assert [
        names(path) for path in tests + native if len(path.read_text().splitlines()) > 400
    ] == []


def test_every_module_has_its_tests():
    """``inferd/a/b.py`` has ``tests/a/test_b.py``."""
    missing = [
        names(path)
        for path in FILES
        if path.name != "__init__.py"
        and not (ROOT / TESTED_ELSEWHERE.get(names(path), names(expected_tests(path)))).exists()
    ]

    assert missing == []


def test_both_protocols_know_the_same_errors():
    """An error that one frontend maps is never a surprise to the other."""
    assert set(http_errors.STATUS) == set(grpc_errors.STATUS)
