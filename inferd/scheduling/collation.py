"""
How requests of different shapes become one batch by padding, and get their own shapes back.

Pure arithmetic on shapes and arrays. Axes are numbered as in the shape a client sends: 0
is the batch dimension, which is never padded.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CollatedInput:
    """
    One input whose requests are padded to a common shape.

    Attributes:
        axes: The axes that are padded, ascending.
        pad: The element they are padded with, of the input's dtype.
        buckets: The lengths they are padded to, ascending; empty to pad to the longest
            request of the batch. Longer requests are not padded.
    """

    axes: tuple[int, ...]
    pad: Any = 0
    buckets: tuple[int, ...] = ()

    def key(self, shape: Shape) -> Shape:
        """Return what is equal for shapes that may share a batch; 0 stands for any length."""
        key = list(shape)
        key[0] = 0
        for axis in self.axes:
            key[axis] = self._bucket(shape[axis]) if self.buckets else 0
        return tuple(key)

    def target(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape the requests of one batch are padded to, with all their rows."""
        target = list(shapes[0])
        target[0] = sum(shape[0] for shape in shapes)
        for axis in self.axes:
            longest = max(shape[axis] for shape in shapes)
            target[axis] = self._bucket(longest) if self.buckets else longest
        return tuple(target)

    def padded(self, arrays: Sequence[Array], target: Shape) -> Array:
        """Return the arrays below each other, each padded behind its end to the target."""
        joined = np.full(target, self.pad, arrays[0].dtype)
        row = 0
        for array in arrays:
            end = row + array.shape[0]
            joined[(slice(row, end), *(slice(length) for length in array.shape[1:]))] = array
            row = end
        return joined

    def _bucket(self, length: int) -> int:
        """Return the smallest bucket that holds the length, or the length where none does."""
        index = bisect_left(self.buckets, length)
        return self.buckets[index] if index < len(self.buckets) else length


@dataclass(frozen=True, slots=True)
class Cut:
    """
    An output axis that is as long as an input axis, and is cut back with it.

    Attributes:
        axis: The output's axis.
        source: The input.
        source_axis: The input's axis.
    """

    axis: int
    source: str
    source_axis: int


@dataclass(frozen=True, slots=True)
class Collation:
    """
    What is padded and what is cut for one model.

    Attributes:
        inputs: Input name -> how it is padded.
        cuts: Output name -> its axes that are cut.
    """

    inputs: Mapping[str, CollatedInput] = field(default_factory=dict)
    cuts: Mapping[str, Sequence[Cut]] = field(default_factory=dict)


def cut_back(array: Array, lengths: Mapping[int, int]) -> Array:
    """Return a view on the first elements along some axes: axis -> how many."""
    return array[tuple(slice(lengths.get(axis)) for axis in range(array.ndim))]


def elements(shapes: Sequence[Shape]) -> int:
    """Return how many elements arrays of these shapes have in all."""
    return sum(math.prod(shape) for shape in shapes)
