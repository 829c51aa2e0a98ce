"""
What each model is sent, and what it has to answer.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from inferd.protocol import bytes_tensor


@dataclass(frozen=True, slots=True)
class Values:
    """
    One tensor.

    Attributes:
        datatype: Its wire datatype.
        shape: Its shape.
        raw: Its elements as the protocol's binary encoding has them.
        listed: Its elements as a flat list, as JSON has them.
    """

    datatype: str
    shape: tuple[int, ...]
    raw: bytes
    listed: list[Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    A request and the answer to it.

    Attributes:
        inputs: Input name -> what is sent.
        outputs: Output name -> what has to come back.
    """

    inputs: dict[str, Values]
    outputs: dict[str, Values]


def exchange(model: str) -> Exchange:
    """Return what a model is asked and answers."""
    if model in ("simple", "simple_batched"):
        first, second = np.arange(16, dtype="<i4"), np.full(16, 3, dtype="<i4")
        return Exchange(
            {"INPUT0": _numbers(first, 1, 16), "INPUT1": _numbers(second, 1, 16)},
            {
                "OUTPUT0": _numbers(first + second, 1, 16),
                "OUTPUT1": _numbers(first - second, 1, 16),
            },
        )
    values = _IDENTITY[model]()
    return Exchange({"INPUT0": values}, {"OUTPUT0": values})


def pixels() -> np.ndarray:
    """
    Return the image: eighth-bit steps, so that its text is as long there as back.

    Every element is a multiple of 1/256, which single precision holds exactly.
    """
    return (np.arange(150528, dtype="<u4") * 2_654_435_761 % 257 / 256).astype("<f4")


def _numbers(array: np.ndarray, *shape: int) -> Values:
    datatype = {"i": "INT32", "f": "FP32"}[array.dtype.kind]
    return Values(datatype, shape, array.tobytes(), array.tolist())


def _strings() -> Values:
    elements = [b"%020d" % number for number in range(1000)]
    return Values("BYTES", (1000,), bytes_tensor.join(elements), [one.decode() for one in elements])


_IDENTITY: Final = {
    "identity_floats": lambda: _numbers(pixels(), 150528),
    "identity_image": lambda: _numbers(pixels(), 3, 224, 224),
    "identity_strings": _strings,
}
