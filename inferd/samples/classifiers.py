"""
The two image classifiers of the sample repository, as ONNX models.

Both hold EfficientNet-Lite0 under the tensor names and shapes of Triton's examples, so
that clients written for those examples work unchanged.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from inferd.samples.efficientnet import (
    CLASS_COUNT,
    IMAGE_SIZE,
    AddRemembered,
    Classifier,
    Convolution,
    Remember,
    layers,
)

Array = npt.NDArray[Any]

_OPSET = 13
_IR_VERSION = 8
_INCEPTION_SIZE = 299
_BACKGROUND_LOGIT = -30.0
_ABOUT = "EfficientNet-Lite0 (ImageNet-1k) under the tensor names of Triton's example models"


def densenet(weights: Mapping[str, Array]) -> bytes:
    """
    Return ``densenet_onnx``: ``data_0`` FP32 [1,3,224,224] -> ``fc6_1`` FP32 [1,1000,1,1], logits.

    Args:
        weights: The published state dict.
    """
    graph = _Graph("data_0", [1, 3, IMAGE_SIZE, IMAGE_SIZE])
    logits = graph.network(weights)
    graph.constant("output_shape", np.array([-1, CLASS_COUNT, 1, 1], np.int64))
    graph.node("Reshape", [logits, "output_shape"], "fc6_1")
    return graph.serialize("fc6_1", [1, CLASS_COUNT, 1, 1])


def inception(weights: Mapping[str, Array]) -> bytes:
    """
    Return ``inception_onnx``: FP32 [n,299,299,3] -> FP32 [n,1001], probabilities.

    The input is ``input:0`` and the output ``InceptionV3/Predictions/Softmax:0``. The image
    is resized to what the network was trained at inside the graph; class 0 is background.

    Args:
        weights: The published state dict.
    """
    graph = _Graph("input:0", ["batch", _INCEPTION_SIZE, _INCEPTION_SIZE, 3])
    graph.node("Transpose", ["input:0"], "channels_first", perm=[0, 3, 1, 2])
    graph.constant("no_region", np.array([], np.float32))
    scale = IMAGE_SIZE / _INCEPTION_SIZE
    graph.constant("scales", np.array([1, 1, scale, scale], np.float32))
    graph.node(
        "Resize",
        ["channels_first", "no_region", "scales"],
        "resized",
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    graph.current = "resized"
    logits = graph.network(weights)
    graph.constant("background_pads", np.array([0, 1, 0, 0], np.int64))
    graph.constant("background_logit", np.float32(_BACKGROUND_LOGIT))
    graph.node("Pad", [logits, "background_pads", "background_logit"], "logits_1001")
    graph.node("Softmax", ["logits_1001"], "InceptionV3/Predictions/Softmax:0", axis=1)
    return graph.serialize("InceptionV3/Predictions/Softmax:0", ["batch", CLASS_COUNT + 1])


class _Graph:
    """
    An ONNX graph under construction, with one input and one output, both FP32.

    Attributes:
        current: The name of the values the next layer takes.
    """

    def __init__(self, input_name: str, shape: list[int | str]) -> None:
        self.current = input_name
        self._input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, shape)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._size = IMAGE_SIZE

    def constant(self, name: str, value: "Array | np.float32") -> None:
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def network(self, weights: Mapping[str, Array]) -> str:
        """Append the whole network and return the name of its logits, [n, 1000]."""
        self.constant("zero", np.float32(0))
        self.constant("six", np.float32(6))
        remembered = ""
        for layer in layers(weights):
            match layer:
                case Convolution():
                    self.current = self._convolution(layer)
                case Remember():
                    remembered = self.current
                case AddRemembered():
                    self.current = self.node(
                        "Add", [self.current, remembered], self.current + ".residual"
                    )
                case Classifier():
                    self.current = self._classifier(layer)
        return self.current

    def serialize(self, output_name: str, shape: list[int | str]) -> bytes:
        """Return the checked model."""
        output = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(
            self._nodes, "efficientnet_lite0", [self._input], [output], self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="inferd",
            doc_string=_ABOUT,
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _convolution(self, layer: Convolution) -> str:
        kernel = layer.weights.shape[-1]
        before, after = _same_padding(self._size, kernel, layer.stride)
        self._size = -(-self._size // layer.stride)
        self.constant(layer.name + ".weight", layer.weights)
        self.constant(layer.name + ".bias", layer.bias)
        output = self.node(
            "Conv",
            [self.current, layer.name + ".weight", layer.name + ".bias"],
            layer.name,
            kernel_shape=[kernel, kernel],
            strides=[layer.stride, layer.stride],
            pads=[before, before, after, after],
            group=layer.groups,
        )
        if not layer.relu6:
            return output
        return self.node("Clip", [output, "zero", "six"], output + ".relu6")

    def _classifier(self, layer: Classifier) -> str:
        self.constant("classifier.weight", np.ascontiguousarray(layer.weights))
        self.constant("classifier.bias", np.ascontiguousarray(layer.bias))
        self.node("GlobalAveragePool", [self.current], "pooled")
        self.node("Flatten", ["pooled"], "features", axis=1)
        return self.node(
            "Gemm", ["features", "classifier.weight", "classifier.bias"], "logits", transB=1
        )


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding before and after, which may differ by one."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
