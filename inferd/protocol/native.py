"""
The kernels' native codec, or ``None`` where it was not built; decided once, at import.

Its twins in Python are :mod:`inferd.protocol.infer_protobuf`,
:mod:`inferd.protocol.infer_rules`, :mod:`inferd.protocol.infer_response_protobuf` and
:mod:`inferd.protocol.bytes_tensor`.
"""

from types import ModuleType

codec: ModuleType | None
try:
    from inferd_kernels.wire import _codec as codec
except ImportError:
    codec = None
