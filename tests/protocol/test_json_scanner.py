"""The exact JSON reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import MalformedDocument
from inferd.protocol.json_scanner import BUILD_DEPTH, TOO_DEEP, scan

_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_values, st.sampled_from([None, 1]))
def test_what_python_writes_is_read_back(value, indent):
    """Any document keeps its value, however it is laid out."""
    assert json.dumps(scan(json.dumps(value, indent=indent))) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "reason", "offset"),
    [
        ("", "The document is empty.", 0),
        (" \n", "The document is empty.", 2),
        ("{} {}", "The document root must not be followed by other values.", 3),
        ("01", "The document root must not be followed by other values.", 1),
        ("AAAA", "Invalid value.", 0),
        ("nulx", "Invalid value.", 3),
        ("tru", "Invalid value.", 3),
        ("-", "Invalid value.", 0),
        ("[", "Invalid value.", 1),
        ("[1,]", "Invalid value.", 3),
        ('{"a":}', "Invalid value.", 5),
        ("{a:1}", "Missing a name for object member.", 1),
        ('{"a":1,}', "Missing a name for object member.", 7),
        ('{"a" 1}', "Missing a colon after a name of object member.", 5),
        ('{"a":1 "b":2}', "Missing a comma or } after an object member.", 7),
        ('{"a":1', "Missing a comma or } after an object member.", 6),
        ("[1 2]", "Missing a comma or ] after an array element.", 3),
        ("[1}", "Missing a comma or ] after an array element.", 2),
        ('"abc', "Missing a closing quotation mark in string.", 4),
        ('"\\x"', "Invalid escape character in string.", 1),
        ('"\\u12g4"', "Incorrect hex digit after \\u escape in string.", 2),
        ('"\x01"', "Invalid encoding in string.", 1),
        ('["\u00e9\udcff",x]', "Invalid value.", 7),
        ("1.", "Miss fraction part in number.", 2),
        ("1.x", "Miss fraction part in number.", 2),
        ("1e", "Miss exponent in number.", 2),
        ("1.5E+", "Miss exponent in number.", 4),
        ("[1e999]", "Number too big to be stored in double.", 1),
        ("-1e999", "Number too big to be stored in double.", 0),
        ("9" * 400, "Number too big to be stored in double.", 0),
        ("9" * 5000, "Number too big to be stored in double.", 0),
    ],
)
def test_errors_have_rapidjson_texts_and_offsets(text, reason, offset):
    """The first error is named, with its offset in bytes."""
    with pytest.raises(MalformedDocument) as caught:
        scan(text)
    assert caught.value.message == (
        f"failed to parse the request JSON buffer: {reason} at {offset}"
    )


def test_integers_beyond_64_bits_become_floats():
    """The last integer that is exact is the largest of uint64."""
    assert scan("[18446744073709551615,18446744073709551616]") == [2**64 - 1, float(2**64)]


def test_any_depth_is_read():
    """Nesting costs memory only down to a fixed depth; below it documents are still checked."""
    for opener, closer in (("[", "]"), ('{"a":', "}")):
        value = scan(opener * 100_000 + "1" + closer * 100_000)
        for _ in range(BUILD_DEPTH - 1):
            (value,) = value if isinstance(value, list) else value.values()
        assert value in ([TOO_DEEP], {"a": TOO_DEEP})
    with pytest.raises(MalformedDocument, match="Missing a comma"):
        scan("[" * 1000 + "1" + "]" * 999)


def test_the_deepest_container_that_is_kept():
    """A container at the depth is kept, one below it is not."""
    assert scan("[" * BUILD_DEPTH + "]" * BUILD_DEPTH) is not TOO_DEEP
    assert repr(scan("[" * BUILD_DEPTH + "1" + "]" * BUILD_DEPTH)).strip("[]") == "1"
