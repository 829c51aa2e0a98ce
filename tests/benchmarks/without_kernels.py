"""
Runs ``inferd`` as it is where no native module of inferd-kernels was built.

    python tests/benchmarks/without_kernels.py serve ...

The codecs and transports in Python take over, as they do on such a machine; uvloop, orjson
and httptools, which come as wheels, stay.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Final

_NATIVE: Final = "inferd_kernels.wire._"


class Refusal(MetaPathFinder):
    """Finds no native module of the kernels, and lets nobody else find one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Refuse the native modules; know nothing of all others."""
        if fullname.startswith(_NATIVE):
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)


if __name__ == "__main__":
    sys.meta_path.insert(0, Refusal())
    from inferd.__main__ import main

    sys.exit(main())
