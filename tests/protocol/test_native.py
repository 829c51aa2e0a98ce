"""The native codec is used where it was built, and not missed where it was not."""

import subprocess
import sys

_WITHOUT = """
import sys
sys.modules["inferd_kernels.wire._codec"] = None
from inferd.protocol import bytes_tensor, infer_codec, native
assert native.codec is None
assert infer_codec.CHOSEN is infer_codec.PYTHON
assert bytes_tensor.to_array(bytes_tensor.split(bytes_tensor.join(["a"])), (1,)).tolist() == [b"a"]
"""


def test_without_the_native_codec_the_one_in_python_is_used():
    """Where the kernel was not built, messages and strings are read in Python."""
    finished = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
