"""The plugin keeps every promise of the backend contract, with every datatype."""

import pytest
from inferd_backend_onnx import OnnxBackend

from inferd._generated.inference import DataType
from inferd.testing import models
from inferd.testing.conformance import BackendConformance

ELEMENTS = {
    DataType.TYPE_BOOL: "BOOL",
    DataType.TYPE_UINT8: "UINT8",
    DataType.TYPE_UINT16: "UINT16",
    DataType.TYPE_UINT32: "UINT32",
    DataType.TYPE_UINT64: "UINT64",
    DataType.TYPE_INT8: "INT8",
    DataType.TYPE_INT16: "INT16",
    DataType.TYPE_INT32: "INT32",
    DataType.TYPE_INT64: "INT64",
    DataType.TYPE_FP16: "FLOAT16",
    DataType.TYPE_FP32: "FLOAT",
    DataType.TYPE_FP64: "DOUBLE",
    DataType.TYPE_STRING: "STRING",
    DataType.TYPE_BF16: "BFLOAT16",
}


class TestAddSub(BackendConformance):
    """Two inputs, two outputs, batching."""

    backend_class = OnnxBackend
    datatype = DataType.TYPE_FP32

    @pytest.fixture(autouse=True)
    def _files(self, onnx_files):
        self.files = onnx_files

    def make_model(self, directory):
        """Write an add/sub model."""
        element = getattr(self.files.types, ELEMENTS[self.datatype])
        self.files.add_sub(directory / "1" / "model.onnx", element)
        return models.add_sub("onnxruntime", datatype=self.datatype, completes=True)


class TestAddSubInt32(TestAddSub):
    """The same in INT32."""

    datatype = DataType.TYPE_INT32


class TestWithoutBatching(TestAddSub):
    """A graph with fixed shapes."""

    def make_model(self, directory):
        """Write a model whose tensors are [16]."""
        self.files.add_sub(directory / "1" / "model.onnx", batch=None)
        return models.add_sub("onnxruntime", max_batch_size=0, completes=True)


class TestModelFolder(TestAddSub):
    """A model file inside a folder of its name."""

    def make_model(self, directory):
        """Write model.onnx/model.onnx."""
        self.files.add_sub(directory / "1" / "model.onnx" / "model.onnx")
        return models.add_sub("onnxruntime", completes=True)


class TestIdentity(BackendConformance):
    """Every datatype there and back, with a variable dimension."""

    backend_class = OnnxBackend

    @pytest.fixture(autouse=True, params=list(ELEMENTS), ids=lambda datatype: datatype.name)
    def _files(self, request, onnx_files):
        self.files = onnx_files
        self.datatype = request.param

    def make_model(self, directory):
        """Write an identity model."""
        element = getattr(self.files.types, ELEMENTS[self.datatype])
        self.files.identity(directory / "1" / "model.onnx", element, tensors=2)
        return models.identity("onnxruntime", datatype=self.datatype, completes=True)
