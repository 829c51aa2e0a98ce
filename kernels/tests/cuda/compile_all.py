"""
Compiles the device code for several GPUs and prints one line of JSON for each program.

A program of its own, because importing numba.cuda after plain numba changes what it is.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inferd_kernels.cuda.compiler import KERNEL_NAMES, compile_kernel

CAPABILITIES = ((7, 5), (9, 0), (12, 0))


def assemble(ptx: str, capability: tuple[int, int]) -> str | None:
    """Return what NVIDIA's assembler has against a program, or None where it is absent."""
    assembler = shutil.which("ptxas")
    if assembler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        architecture = f"-arch=sm_{capability[0]}{capability[1]}"
        command = [assembler, architecture, "-o", str(source.with_suffix(".cubin")), str(source)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr


if __name__ == "__main__":
    for capability in CAPABILITIES:
        for name in KERNEL_NAMES:
            program = compile_kernel(name, capability)
            complaints = assemble(program.ptx, capability)
            doubles = program.ptx.count(".f64")
            row = {"kernel": name, "doubles": doubles, "complaints": complaints}
            print(json.dumps(row | {"capability": capability}))
    sys.exit(0)
