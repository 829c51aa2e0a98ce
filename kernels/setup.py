"""
Builds the native modules of ``inferd_kernels.wire``; everything else is in ``pyproject.toml``.

The distribution works without them: a module whose library or compiler is missing is left
out, and one line says which and why.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

LIBRARIES = {"_http2": ("libnghttp2", "Debian: libnghttp2-dev")}
"""Module -> the library it needs, by its pkg-config name, and where that comes from."""

CPLUSPLUS = {"_json": ["-std=c++17"]}
"""Modules in C++ and how they are compiled: with ``std::from_chars`` for ``double``."""

FROM_CHARS = """
#include <charconv>
int main(int count, char** texts) {
    double value = 0;
    return std::from_chars(texts[0], texts[0] + count, value).ptr == texts[0];
}
"""


def flags(library: str, kind: str) -> list[str] | None:
    """Return what pkg-config says of a library, or ``None`` when there is no such thing."""
    try:
        found = subprocess.run(
            ["pkg-config", kind, library], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.split()


def reads_doubles(options: list[str]) -> bool:
    """Return whether the C++ compiler knows ``std::from_chars`` for ``double``."""
    command = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
    arguments = [*shlex.split(command), *options, "-fsyntax-only", "-x", "c++", "-"]
    try:
        subprocess.run(arguments, input=FROM_CHARS, text=True, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def without(name: str, reason: str) -> None:
    """Say that a module is left out."""
    print(f"inferd-kernels: building without {name}: {reason}", file=sys.stderr)


def extension(source: Path) -> Extension | None:
    """Return the extension of a ``.pyx`` file, or ``None`` when what it needs is missing."""
    name = source.stem
    compiled, linked = ["-O2"], []
    if name in LIBRARIES:
        library, package = LIBRARIES[name]
        headers, link = flags(library, "--cflags"), flags(library, "--libs")
        if headers is None or link is None:
            without(name, f"{library} was not found ({package})")
            return None
        compiled, linked = [*compiled, *headers], link
    if name in CPLUSPLUS:
        if not reads_doubles(CPLUSPLUS[name]):
            without(name, "no C++17 compiler with std::from_chars for double (Debian: g++)")
            return None
        compiled = [*compiled, *CPLUSPLUS[name]]
    return Extension(
        f"inferd_kernels.wire.{name}",
        [str(source)],
        extra_compile_args=compiled,
        extra_link_args=linked,
        language="c++" if name in CPLUSPLUS else "c",
        optional=True,
    )


SOURCES = sorted(Path("inferd_kernels/wire").glob("*.pyx"))
EXTENSIONS = [found for source in SOURCES if (found := extension(source)) is not None]

setup(ext_modules=cythonize(EXTENSIONS, language_level=3) if EXTENSIONS else [])
