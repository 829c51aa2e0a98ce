"""Reading JSON documents as rapidjson does."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import MalformedDocument
from inferd.protocol import json_document as document

_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_values)
def test_what_python_writes_is_read_back(value):
    """Any document, with NaN and infinities in it, keeps its value."""
    text = json.dumps(value)
    assert json.dumps(document.parse(text.encode())) == text


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"18446744073709551615", 18446744073709551615),
        (b"-9223372036854775808", -9223372036854775808),
        (b"18446744073709551616", 18446744073709551616.0),
        (b"-9223372036854775809", -9223372036854775809.0),
        (b"[18446744073709551615,Infinity]", [18446744073709551615, math.inf]),
        (b"[18446744073709551616,-Infinity]", [18446744073709551616.0, -math.inf]),
        (b"[123456789012345678901234567890,Infinity]", [1.2345678901234568e29, math.inf]),
        (b"Inf", math.inf),
        (b'"\xff"', "\udcff"),
    ],
)
def test_numbers_and_strings_beyond_plain_json(raw, value):
    """Integers are exact within 64 bits; strings keep bytes that are not UTF-8."""
    parsed = document.parse(raw)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_view_on_a_body_is_read():
    """The JSON of a binary request is read without a copy being made of it first."""
    assert document.parse(memoryview(b'{"a":1}xyz')[:7]) == {"a": 1}


def test_a_long_broken_document_gets_a_general_text():
    """The search for the exact error is bounded; beyond it the offset is still told."""
    longest = b"[]".ljust(document.SCAN_LIMIT - 1) + b"x"
    with pytest.raises(MalformedDocument) as caught:
        document.parse(longest)
    assert caught.value.message == (
        "failed to parse the request JSON buffer: The document root must not be followed by other "
        "values. at 1048575"
    )
    with pytest.raises(MalformedDocument) as caught:
        document.parse(b" " + longest)
    assert caught.value.message == (
        "failed to parse the request JSON buffer: Invalid value. at 1048576"
    )


def test_a_long_and_very_deep_document_is_refused():
    """A document of nothing but brackets costs no more than its size."""
    with pytest.raises(MalformedDocument, match=r"Invalid value\. at 0"):
        document.parse(b"[" * (document.SCAN_LIMIT + 1))


def test_find_and_has_take_any_parent():
    """Looking for a member of something that is no object finds nothing."""
    assert document.find({"a": 1}, "a") == 1
    assert document.find({}, "a") is None
    assert document.find([1], "a") is None
    assert document.has({"a": None}, "a")
    assert not document.has("a", "a")


@pytest.mark.parametrize(
    ("convert", "good", "bad", "message"),
    [
        (document.as_array, [1], {}, "attempt to access JSON non-array as array"),
        (document.as_string, "\u00e9", 1, "attempt to access JSON non-string as string"),
        (document.as_bool, True, 1, "attempt to access JSON non-boolean as boolean"),
        (
            document.as_unsigned,
            2**64 - 1,
            2**64,
            "attempt to access JSON non-unsigned-integer as unsigned-integer",
        ),
        (
            document.as_unsigned,
            0,
            -1,
            "attempt to access JSON non-unsigned-integer as unsigned-integer",
        ),
        (
            document.as_unsigned,
            1,
            True,
            "attempt to access JSON non-unsigned-integer as unsigned-integer",
        ),
        (document.members, {"a": 1}, [], "attempt to get members for non-object"),
    ],
)
def test_values_have_to_have_their_type(convert, good, bad, message):
    """The wrong JSON type is named as rapidjson's user names it."""
    assert convert(good) == good
    with pytest.raises(MalformedDocument) as caught:
        convert(bad)
    assert caught.value.message == message


def test_a_string_that_has_no_encoding_is_refused():
    """Names and ids have to be sent back, so they have to be text."""
    with pytest.raises(MalformedDocument, match=r"Invalid encoding in string\.$"):
        document.as_string("\ud800")


@pytest.mark.parametrize("parent", [{}, [], None])
def test_a_missing_member_is_named(parent):
    """The error tells the field and that it is not there."""
    with pytest.raises(MalformedDocument) as caught:
        document.field(parent, "name", document.as_string)
    assert caught.value.message == (
        "Unable to parse 'name': attempt to access non-existing object member 'name'"
    )


def test_an_optional_member_has_a_default_only_when_it_is_missing():
    """A null is not the same as nothing."""
    assert document.optional({}, "id", document.as_string, "-") == "-"
    assert document.optional({"id": "a"}, "id", document.as_string, "-") == "a"
    with pytest.raises(MalformedDocument, match="Unable to parse 'id': "):
        document.optional({"id": None}, "id", document.as_string, "-")
