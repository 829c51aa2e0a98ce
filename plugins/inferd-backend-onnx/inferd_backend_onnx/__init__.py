"""
ONNX models for inferd, run by ONNX Runtime.

Importing this package does not import ONNX Runtime; loading the first model does.
"""

from inferd_backend_onnx.backend import OnnxBackend

__version__ = "0.1.0"

__all__ = ["OnnxBackend", "__version__"]
