"""
Checks an installed wheel: the native modules are in it, and nghttp2 is the one bundled with it.

A script and no test: from a source tree the system's library is the right one.
"""

import sys
from pathlib import Path

import inferd_kernels
from inferd_kernels.wire import _codec, _http2


def main() -> int:
    """Return 0 when every loaded copy of nghttp2 lies beside the package; print which do."""
    site = Path(inferd_kernels.__file__).parent.parent
    lines = Path("/proc/self/maps").read_text().splitlines()
    loaded = sorted({line.split()[-1] for line in lines if "nghttp2" in line})
    for path in (_codec.__file__, _http2.__file__, *loaded):
        print(path)
    bundled = [path for path in loaded if Path(path).is_relative_to(site)]
    if loaded and bundled == loaded:
        return 0
    print("the wheel does not use a library of its own", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
