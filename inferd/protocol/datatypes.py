"""
The protocol's datatypes and what each is called elsewhere.

The wire names and the config names are Triton's (``model_config.proto``'s
``DataType`` and the KServe v2 tensor datatypes).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inferd._generated.inference import DataType as ConfigType


@dataclass(frozen=True, slots=True)
class Datatype:
    """
    One datatype.

    Attributes:
        name: The wire name, such as ``"INT32"``.
        config: The value in a model config, such as ``TYPE_INT32``.
        itemsize: Bytes per element; 0 for ``BYTES``, whose elements vary.
        dtype: The NumPy dtype of a decoded tensor. ``BYTES`` is an object array of
            :class:`bytes`; ``BF16`` is carried as ``uint16`` bit patterns, because
            NumPy has no bfloat16.
    """

    name: str
    config: ConfigType
    itemsize: int
    dtype: "np.dtype[np.generic]"

    @property
    def config_name(self) -> str:
        """The name in a model config, such as ``"TYPE_INT32"``."""
        name = self.config.name
        assert name is not None
        return name


def _datatype(name: str, config: ConfigType, numpy_name: str) -> Datatype:
    dtype = np.dtype(numpy_name)
    return Datatype(name, config, 0 if dtype.hasobject else dtype.itemsize, dtype)


_ALL: Final = (
    _datatype("BOOL", ConfigType.TYPE_BOOL, "bool"),
    _datatype("UINT8", ConfigType.TYPE_UINT8, "u1"),
    _datatype("UINT16", ConfigType.TYPE_UINT16, "<u2"),
    _datatype("UINT32", ConfigType.TYPE_UINT32, "<u4"),
    _datatype("UINT64", ConfigType.TYPE_UINT64, "<u8"),
    _datatype("INT8", ConfigType.TYPE_INT8, "i1"),
    _datatype("INT16", ConfigType.TYPE_INT16, "<i2"),
    _datatype("INT32", ConfigType.TYPE_INT32, "<i4"),
    _datatype("INT64", ConfigType.TYPE_INT64, "<i8"),
    _datatype("FP16", ConfigType.TYPE_FP16, "<f2"),
    _datatype("FP32", ConfigType.TYPE_FP32, "<f4"),
    _datatype("FP64", ConfigType.TYPE_FP64, "<f8"),
    _datatype("BYTES", ConfigType.TYPE_STRING, "O"),
    _datatype("BF16", ConfigType.TYPE_BF16, "<u2"),
)

BY_NAME: Final[dict[str, Datatype]] = {datatype.name: datatype for datatype in _ALL}
"""Wire name -> datatype, in the protocol's order."""

BY_CONFIG: Final[dict[ConfigType, Datatype]] = {datatype.config: datatype for datatype in _ALL}
"""Model-config value -> datatype; ``TYPE_INVALID`` is not in it."""
