"""
Builds the native modules of ``inferd_kernels.wire``; everything else is in ``pyproject.toml``.

The distribution works without them: a module whose library or compiler is missing is left
out, and one line says which and why.
"""

import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

LIBRARIES = {"_http2": ("libnghttp2", "Debian: libnghttp2-dev")}
"""Module -> the library it needs, by its pkg-config name, and where that comes from."""


def flags(library: str, kind: str) -> list[str] | None:
    """Return what pkg-config says of a library, or ``None`` when there is no such thing."""
    try:
        found = subprocess.run(
            ["pkg-config", kind, library], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.split()


def extension(source: Path) -> Extension | None:
    """Return the extension of a ``.pyx`` file, or ``None`` when its library is missing."""
    name = source.stem
    compiled, linked = ["-O2"], []
    if name in LIBRARIES:
        library, package = LIBRARIES[name]
        headers, link = flags(library, "--cflags"), flags(library, "--libs")
        if headers is None or link is None:
            print(
                f"inferd-kernels: building without {name}: {library} was not found ({package})",
                file=sys.stderr,
            )
            return None
        compiled, linked = [*compiled, *headers], link
    return Extension(
        f"inferd_kernels.wire.{name}",
        [str(source)],
        extra_compile_args=compiled,
        extra_link_args=linked,
        optional=True,
    )


SOURCES = sorted(Path("inferd_kernels/wire").glob("*.pyx"))
EXTENSIONS = [found for source in SOURCES if (found := extension(source)) is not None]

setup(ext_modules=cythonize(EXTENSIONS, language_level=3) if EXTENSIONS else [])
