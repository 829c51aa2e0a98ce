"""The table of datatypes."""

from inferd._generated.inference import DataType
from inferd.protocol.datatypes import BY_CONFIG, BY_NAME


def test_every_config_type_has_a_wire_name():
    """All but the invalid one."""
    assert set(BY_CONFIG) == set(DataType) - {DataType.TYPE_INVALID}


def test_names_differ_only_for_strings():
    """TYPE_STRING is BYTES on the wire."""
    odd = {one.name: one.config_name for one in BY_NAME.values() if one.config_name[5:] != one.name}

    assert odd == {"BYTES": "TYPE_STRING"}


def test_item_sizes_are_the_protocols():
    """BF16 takes two bytes, BYTES has no fixed size."""
    sizes = {name: datatype.itemsize for name, datatype in BY_NAME.items()}

    assert sizes == {
        "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2,
        "INT32": 4, "INT64": 8, "FP16": 2, "FP32": 4, "FP64": 8, "BYTES": 0, "BF16": 2,
    }  # fmt: skip
