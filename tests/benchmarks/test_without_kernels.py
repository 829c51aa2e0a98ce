"""The server as it is where no native module was built."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_the_codec_in_python_is_used():
    """It is what the frontends choose in such a process, whatever is installed."""
    program = (
        "import sys\n"
        "from without_kernels import Refusal\n"
        "sys.meta_path.insert(0, Refusal())\n"
        "from inferd.protocol.infer_codec import CHOSEN\n"
        "print(CHOSEN.name)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout == "python\n"


def test_the_command_line_works():
    """It is that of ``inferd``."""
    ran = subprocess.run(
        [sys.executable, str(HERE / "without_kernels.py"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout.startswith("inferd ")
