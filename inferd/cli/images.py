"""
Turns pictures into tensors the way the reference's image client does.

The picture is converted to the model's channels, resized with a bilinear filter and
scaled; every step matters, because labels and scores depend on it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from inferd_kernels import Scaling as Scalings
from inferd_kernels import select

from inferd._generated.inference import ModelInputFormat
from inferd.cli.clients.client import UsageError

Array = npt.NDArray[Any]

Scaling = Literal["NONE", "VGG", "INCEPTION"]
SCALINGS: tuple[Scaling, ...] = ("NONE", "VGG", "INCEPTION")

_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class Layout:
    """
    What a model wants of a picture.

    Attributes:
        height: In pixels; -1 keeps the picture's own.
        width: In pixels; -1 keeps the picture's own.
        channels: 1 for grey, 3 for red, green and blue.
        channels_first: Whether the tensor is CHW instead of HWC.
    """

    height: int
    width: int
    channels: int
    channels_first: bool

    @classmethod
    def of(cls, dims: tuple[int, ...], image_format: ModelInputFormat) -> "Layout":
        """
        Return the layout of an input.

        Args:
            dims: The input's three dimensions, without the batch dimension.
            image_format: ``FORMAT_NCHW`` or ``FORMAT_NHWC``; with ``FORMAT_NONE`` the
                dimension that is 1 or 3 says where the channels are.

        Raises:
            UsageError: It is not the shape of a picture.
        """
        if len(dims) != 3:
            raise UsageError(f"a picture needs an input of 3 dimensions, not {list(dims)}")
        first = image_format == ModelInputFormat.NCHW or (
            image_format == ModelInputFormat.NONE and dims[0] in _CHANNELS
        )
        channels, height, width = dims if first else (dims[2], dims[0], dims[1])
        if channels not in _CHANNELS:
            raise UsageError(f"a picture has 1 or 3 channels; the input has shape {list(dims)}")
        return cls(height, width, channels, first)


def read_image(path: Path, layout: Layout, dtype: "np.dtype[Any]", scaling: Scaling) -> Array:
    """
    Return a picture as a tensor of the layout, without a batch dimension.

    Args:
        path: The picture's file, of any kind Pillow reads.
        layout: What the model wants.
        dtype: The element type of the model's input.
        scaling: ``NONE`` keeps 0 to 255, ``VGG`` subtracts the mean of each channel,
            ``INCEPTION`` scales to [-1, 1].

    Raises:
        UsageError: The file is no picture, or Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise UsageError("pictures need Pillow: pip install 'inferd[images]'") from error
    try:
        with Image.open(path) as file:
            image = file.convert("L" if layout.channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"cannot read the picture {path}: {error}") from error
    size = (
        layout.width if layout.width > 0 else image.width,
        layout.height if layout.height > 0 else image.height,
    )
    resized = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(resized).reshape(1, size[1], size[0], layout.channels)
    return _scaled(pixels, layout, scaling).astype(dtype)


def _scaled(pixels: npt.NDArray[np.uint8], layout: Layout, scaling: Scaling) -> Array:
    kernels = select("numpy")
    _, height, width, channels = pixels.shape
    first = layout.channels_first
    shape = (1, channels, height, width) if first else (1, height, width, channels)
    out: Array = np.empty(shape, np.float32)
    scale = kernels.scale_to_chw if first else kernels.scale_to_hwc
    scale(pixels, out, Scalings[scaling])
    return out.reshape(shape[1:])
