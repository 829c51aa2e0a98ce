"""
Protobuf's wire format on buffers: fields as spans, varints, packed runs; no message objects.

A message is walked with :func:`fields`, which yields where each field's value lies and
copies nothing. What is accepted is what Google's parser accepts. Groups are skipped like
any unknown field: no message of this server has one.
Source: https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview

VARINT: Final = 0
FIXED64: Final = 1
LENGTH_DELIMITED: Final = 2
START_GROUP: Final = 3
END_GROUP: Final = 4
FIXED32: Final = 5

MAX_DEPTH: Final = 100
"""Messages and groups within each other that Google's parser follows."""

_LONGEST_VARINT: Final = 10
_LONGEST_TAG: Final = 5
_UINT64: Final = (1 << 64) - 1
_FIXED_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_CHUNK: Final = 1 << 16
"""Bytes of packed varints decoded at a time; bounds the temporary arrays."""


class WireError(ValueError):
    """The bytes are not a message in protobuf's wire format."""


def tag(number: int, wire_type: int) -> int:
    """Return the tag of a field number and a wire type."""
    return number << 3 | wire_type


def fields(data: Buffer, start: int, stop: int, depth: int = 0) -> Iterator[tuple[int, int, int]]:
    """
    Yield ``(tag, start, stop)`` for each field of the message in ``data[start:stop]``.

    The span is the value: a varint's own bytes, 4 or 8 bytes of a fixed-size value, the
    content behind a length, or a group with its end tag.

    Args:
        data: The bytes.
        start: Where the message begins.
        stop: Where it ends.
        depth: The messages it lies within.

    Raises:
        WireError: The message is cut short, holds a tag that cannot be one, or groups that
            do not match or nest too deeply.
    """
    position = start
    while position < stop:
        found = data[position]
        position += 1
        if found >= 0x80:
            found, position = _long_tag(data, position - 1, stop)
        if found < 8:
            raise WireError("field number 0")
        wire_type = found & 7
        if wire_type == LENGTH_DELIMITED:
            size, position = read_varint(data, position, stop)
            end = position + size
        elif wire_type == VARINT:
            end = _varint_end(data, position, stop)
        elif wire_type in _FIXED_SIZES:
            end = position + _FIXED_SIZES[wire_type]
        elif wire_type == START_GROUP:
            end = _group_end(data, position, stop, found >> 3, depth)
        else:
            raise WireError(_impossible(wire_type))
        if end > stop:
            raise WireError("truncated field")
        yield found, position, end
        position = end


def _impossible(wire_type: int) -> str:
    return "end of another group" if wire_type == END_GROUP else f"wire type {wire_type}"


def _group_end(data: Buffer, position: int, stop: int, number: int, depth: int) -> int:
    """Return the position behind the group of a field number whose content begins here."""
    within = [number]
    while within:
        if depth + len(within) > MAX_DEPTH:
            raise WireError("groups nested too deeply")
        if position >= stop:
            raise WireError("truncated group")
        found, _ = read_varint(data, position, stop)
        if found & 7 == START_GROUP and found >= 8:
            found, position = _long_tag(data, position, stop)
            within.append(found >> 3)
        elif found & 7 == END_GROUP and found >> 3 == within[-1]:
            found, position = _long_tag(data, position, stop)
            within.pop()
        else:
            _, _, position = next(fields(data, position, stop))
    return position


def _long_tag(data: Buffer, position: int, stop: int) -> tuple[int, int]:
    found, end = read_varint(data, position, stop)
    if end - position > _LONGEST_TAG or found > 0xFFFF_FFFF:
        raise WireError("tag longer than 32 bits")
    return found, end


def _varint_end(data: Buffer, position: int, stop: int) -> int:
    limit = min(stop, position + _LONGEST_VARINT)
    while position < limit:
        if data[position] < 0x80:
            return position + 1
        position += 1
    raise WireError("truncated varint" if limit == stop else "varint longer than 10 bytes")


def read_varint(data: Buffer, position: int, stop: int) -> tuple[int, int]:
    """
    Read one varint of ``data[position:stop]``.

    Returns:
        Its value, truncated to 64 bits, and the position behind it.

    Raises:
        WireError: It is cut short or longer than 10 bytes.
    """
    if position < stop and data[position] < 0x80:
        return data[position], position + 1
    end = _varint_end(data, position, stop)
    return uint64(data, position, end), end


def uint64(data: Buffer, start: int, stop: int) -> int:
    """Return the varint that :func:`fields` found at ``data[start:stop]``, as unsigned."""
    if stop - start == 1:
        return data[start]
    value = 0
    for index in range(stop - 1, start - 1, -1):
        value = value << 7 | data[index] & 0x7F
    return value & _UINT64


def int64(data: Buffer, start: int, stop: int) -> int:
    """Return the varint that :func:`fields` found at ``data[start:stop]``, as signed."""
    value = uint64(data, start, stop)
    return value - (1 << 64) if value >> 63 else value


def text(data: Buffer, start: int, stop: int) -> str:
    """
    Return ``data[start:stop]`` as a string.

    Raises:
        WireError: It is not UTF-8, which proto3 demands of strings.
    """
    try:
        return str(data[start:stop], "utf-8")
    except UnicodeDecodeError:
        raise WireError("string that is not UTF-8") from None


def packed_varints(run: Buffer) -> npt.NDArray[np.uint64]:
    """
    Decode a run of varints, one after the other.

    Returns:
        The values truncated to 64 bits, shape ``[n]``.

    Raises:
        WireError: The last one is cut short or one is longer than 10 bytes.
    """
    octets = np.frombuffer(run, np.uint8)
    is_last = octets < 0x80
    if octets.size and not is_last[-1]:
        raise WireError("truncated varint")
    if is_last.all():
        return octets.astype(np.uint64)
    values = np.empty(np.count_nonzero(is_last), np.uint64)
    done = position = 0
    while position < octets.size:
        ends = np.flatnonzero(is_last[position : position + _CHUNK])
        if not ends.size:
            raise WireError("varint longer than 10 bytes")
        values[done : done + ends.size] = _decode_chunk(octets[position:], ends)
        done += ends.size
        position += int(ends[-1]) + 1
    return values


def _decode_chunk(
    octets: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp]
) -> npt.NDArray[np.uint64]:
    """Decode the varints of ``octets`` whose last bytes are at ``ends``, a byte rank at a time."""
    starts = np.concatenate((np.zeros(1, np.intp), ends[:-1] + 1))
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > _LONGEST_VARINT:
        raise WireError("varint longer than 10 bytes")
    values = (octets[starts] & 0x7F).astype(np.uint64)
    for rank in range(1, longest):
        which = np.flatnonzero(lengths > rank)
        bits = (octets[starts[which] + rank] & 0x7F).astype(np.uint64)
        values[which] |= bits << np.uint64(7 * rank)
    return values


def varint(value: int) -> bytes:
    """Return the encoding of an integer; a negative one as its 64-bit two's complement."""
    if 0 <= value < 0x80:
        return value.to_bytes(1, "little")
    value &= _UINT64
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def delimited(number: int, content: Buffer) -> bytes:
    """Return a length-delimited field: a string, bytes or a message already encoded."""
    return b"".join((varint(tag(number, LENGTH_DELIMITED)), varint(len(content)), content))
