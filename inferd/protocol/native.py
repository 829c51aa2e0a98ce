"""
The kernels' native modules, or ``None`` where they were not built; decided once, at import.

The twins of ``codec`` in Python are :mod:`inferd.protocol.infer_protobuf`,
:mod:`inferd.protocol.infer_rules`, :mod:`inferd.protocol.infer_response_protobuf` and
:mod:`inferd.protocol.bytes_tensor`; what ``numbers`` does for
:mod:`inferd.protocol.json_codec`, :mod:`inferd.protocol.json_data` does without it.
"""

from types import ModuleType

codec: ModuleType | None
try:
    from inferd_kernels.wire import _codec as codec
except ImportError:
    codec = None

numbers: ModuleType | None
try:
    from inferd_kernels.wire import _json as numbers
except ImportError:
    numbers = None
