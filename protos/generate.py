"""
Generates ``inferd/_generated`` from the .proto files beside this script.

The messages and services come from betterproto2's compiler; the descriptor set is for
the config text format, which Google's protobuf reads in a private descriptor pool.
"""

import shutil
import sys
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parent
OUT = PROTOS.parent / "inferd" / "_generated"


def main() -> int:
    """Replace the generated package; return protoc's exit code."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    sources = sorted(path.name for path in PROTOS.glob("*.proto"))
    code = protoc.main(
        [
            "protoc",
            f"-I{PROTOS}",
            f"--python_betterproto2_out={OUT}",
            "--python_betterproto2_opt=server_generation=async",
            "--python_betterproto2_opt=client_generation=async",
            *sources,
        ]
    )
    return code or protoc.main(
        [
            "protoc",
            f"-I{PROTOS}",
            "--include_imports",
            f"--descriptor_set_out={OUT / 'protos.binpb'}",
            *sources,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
