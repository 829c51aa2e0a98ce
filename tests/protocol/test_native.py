"""The native modules are used where they were built, and not missed where they were not."""

import subprocess
import sys

_WITHOUT = """
import sys
sys.modules["inferd_kernels.wire._codec"] = None
sys.modules["inferd_kernels.wire._json"] = None
from inferd.protocol import bytes_tensor, infer_codec, json_codec, native
assert native.codec is None
assert native.numbers is None
assert json_codec.CHOSEN is json_codec.PYTHON
assert infer_codec.CHOSEN is infer_codec.PYTHON
assert bytes_tensor.to_array(bytes_tensor.split(bytes_tensor.join(["a"])), (1,)).tolist() == [b"a"]
"""


def test_without_the_native_modules_the_ones_in_python_are_used():
    """Where the kernels were not built, messages, strings and numbers are read in Python."""
    finished = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
