"""Protobuf's wire format: what is read, what is written and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.protocol import wire

UINT64 = st.integers(0, 2**64 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


def spans(data):
    """Return the fields of a message as ``(tag, value bytes)``."""
    return [(tag, bytes(data[start:stop])) for tag, start, stop in wire.fields(data, 0, len(data))]


@given(UINT64)
def test_a_varint_is_read_back_as_it_was_written(value):
    """Whatever unsigned number is written is read, and no byte behind it is touched."""
    encoded = wire.varint(value)
    assert wire.read_varint(encoded + b"\x01", 0, len(encoded) + 1) == (value, len(encoded))
    assert wire.uint64(encoded, 0, len(encoded)) == value


@given(INT64)
def test_a_negative_number_travels_as_twos_complement(value):
    """Signed numbers of 64 bits survive the way through a varint."""
    encoded = wire.varint(value)
    assert wire.int64(encoded, 0, len(encoded)) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (-1, "ffffffffffffffffff01")],
)
def test_varints_have_the_documented_bytes(value, encoded):
    """The encoding is the one of the protobuf documentation, at its boundaries too."""
    assert wire.varint(value).hex() == encoded


def test_bits_beyond_64_are_dropped():
    """A varint whose tenth byte carries too much is truncated, as Google's parser does."""
    data = bytes.fromhex("ffffffffffffffffff7f")
    assert wire.read_varint(data, 0, 10) == (2**64 - 1, 10)


def test_each_wire_type_yields_the_span_of_its_value():
    """Varints, fixed-size and length-delimited values are found where they lie."""
    data = bytes.fromhex("0896 01 11 0102030405060708 1a03616263 25 01020304".replace(" ", ""))
    assert spans(data) == [
        (0x08, b"\x96\x01"),
        (0x11, bytes(range(1, 9))),
        (0x1A, b"abc"),
        (0x25, b"\x01\x02\x03\x04"),
    ]


def test_a_group_is_one_field():
    """A group is skipped with all it holds, groups of the same number included."""
    data = bytes.fromhex("0b 08960 1 0b0c 0c 1001".replace(" ", ""))
    assert spans(data) == [(0x0B, data[1:7]), (0x10, b"\x01")]
    deepest = bytes.fromhex("0b" * 100 + "0c" * 100)
    assert len(spans(deepest)) == 1


def test_only_the_given_part_of_the_buffer_is_read():
    """A message inside a larger buffer ends where it is said to, not where the buffer does."""
    data = b"\x0a\x01a\x0a\x01b"
    assert list(wire.fields(data, 3, 6)) == [(0x0A, 5, 6)]
    with pytest.raises(wire.WireError):
        list(wire.fields(data, 0, 2))


@pytest.mark.parametrize("encoded", ["8a0001 61", "8a80808000 01 61", "0a818080808000 61"])
def test_overlong_tags_and_lengths_are_accepted(encoded):
    """Tags of up to 5 bytes and lengths padded with zeros mean the same as short ones."""
    assert spans(bytes.fromhex(encoded)) == [(0x0A, b"a")]


def test_the_largest_field_number_is_accepted():
    """A tag of 32 bits is read whole."""
    assert spans(bytes.fromhex("faffffff0f0161")) == [(0xFFFF_FFFA, b"a")]


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("000161", "field number 0"),
        ("0c", "end of another group"),
        ("0b14", "end of another group"),
        ("0b", "truncated group"),
        ("0b08", "truncated varint"),
        ("0b" * 101 + "0c" * 101, "groups nested too deeply"),
        ("0e", "wire type 6"),
        ("0f", "wire type 7"),
        ("0a", "truncated varint"),
        ("0a0261", "truncated field"),
        ("0affffffff0f61", "truncated field"),
        ("0affffffffffffffffff0161", "truncated field"),
        ("0d010203", "truncated field"),
        ("0901020304050607", "truncated field"),
        ("08", "truncated varint"),
        ("0880", "truncated varint"),
        ("08ffffffffffffffffff8001", "varint longer than 10 bytes"),
        ("8a", "truncated varint"),
        ("8a8080808000 01 61", "tag longer than 32 bits"),
        ("8a80808010 01 61", "tag longer than 32 bits"),
    ],
)
def test_damaged_messages_are_refused(encoded, reason):
    """Cut-short values, hostile lengths, impossible tags and groups are refused for a reason."""
    with pytest.raises(wire.WireError, match=reason):
        spans(bytes.fromhex(encoded))


@pytest.mark.parametrize(("encoded", "size"), [("0d01020304", 4), ("090102030405060708", 8)])
def test_a_fixed_value_may_end_the_message(encoded, size):
    """A fixed-size value that ends exactly with the message is whole."""
    [(_, value)] = spans(bytes.fromhex(encoded))
    assert len(value) == size


@given(st.binary(max_size=40))
def test_any_bytes_either_parse_or_raise_the_one_error(data):
    """No input makes the reader raise anything but its own error or leave the buffer."""
    try:
        found = list(wire.fields(data, 0, len(data)))
    except wire.WireError:
        return
    assert all(0 < start <= stop <= len(data) for _, start, stop in found)


def test_strings_must_be_utf8():
    """proto3 strings that are not UTF-8 are refused."""
    assert wire.text("größe".encode(), 0, 7) == "größe"
    with pytest.raises(wire.WireError, match="UTF-8"):
        wire.text(b"\xff", 0, 1)


@given(st.lists(UINT64))
def test_a_packed_run_holds_its_numbers(values):
    """Numbers packed one behind the other are all found, whatever their lengths."""
    run = b"".join(map(wire.varint, values))
    decoded = wire.packed_varints(memoryview(run))
    assert decoded.dtype == np.uint64
    assert decoded.tolist() == values


@pytest.mark.parametrize("small", [65_534, 65_535, 65_536, 65_537])
def test_a_long_run_is_decoded_across_chunks(small):
    """A number that straddles the decoder's chunks is found whole."""
    run = b"\x01" * small + wire.varint(2**63) + b"\x05"
    decoded = wire.packed_varints(run)
    assert decoded.size == small + 2
    assert decoded[-2:].tolist() == [2**63, 5]
    assert decoded[:-2].min() == decoded[:-2].max() == 1


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (b"\x80", "truncated"),
        (b"\x01\xff", "truncated"),
        (b"\xff" * 10 + b"\x01", "longer than 10"),
        (b"\x80" * 70_000 + b"\x01", "longer than 10"),
        (b"\x01" + b"\x80" * 70_000 + b"\x01", "longer than 10"),
    ],
)
def test_damaged_runs_are_refused(run, reason):
    """A packed run that is cut short or holds an endless number is refused."""
    with pytest.raises(wire.WireError, match=reason):
        wire.packed_varints(run)


def test_an_empty_run_holds_nothing():
    """A packed field of length 0 is no numbers."""
    assert wire.packed_varints(b"").size == 0


def test_a_delimited_field_is_tag_length_content():
    """Strings and messages are written behind their tag and length."""
    assert wire.delimited(1, b"abc") == b"\x0a\x03abc"
    assert spans(wire.delimited(7, memoryview(b"x" * 300))) == [(0x3A, b"x" * 300)]
