"""
Reading JSON documents the way Triton's rapidjson does.

orjson does the work. What it refuses and rapidjson takes (bare ``NaN`` and ``Infinity``,
strings that are not UTF-8, very deep nesting) goes through slower readers, and so does a
broken document, whose error text and offset have to be rapidjson's: Triton answers these
with HTTP 500, and its tests compare the texts.
"""

import json
from collections.abc import Callable
from typing import TypeVar

import orjson

from inferd.errors import MalformedDocument
from inferd.protocol.json_scanner import PARSE_ERROR, NumberTooBig, scan, to_float, to_integer

Value = TypeVar("Value")

SCAN_LIMIT = 1 << 20
"""Documents above this many bytes get a general error text instead of a character-by-character
search for the exact one; it bounds what a broken document may cost."""

QuickParseError = orjson.JSONDecodeError
"""The document is broken or needs one of the slower readers; :func:`parse` tells which."""

parse_quickly = orjson.loads
"""Read a document that is plain JSON, or raise :class:`QuickParseError` without delay."""

_lenient = json.JSONDecoder(parse_int=to_integer, parse_float=to_float)


def parse(raw: bytes | memoryview) -> object:
    """
    Return the value of a JSON document.

    Integers keep their exact value within int64 and uint64 and become floats beyond.
    Strings that are not UTF-8 carry their bytes as surrogate escapes. What is nested
    deeper than :data:`inferd.protocol.json_scanner.BUILD_DEPTH` may be replaced by a
    placeholder that has no JSON type.

    Raises:
        MalformedDocument: It is not JSON.
    """
    try:
        return parse_quickly(raw)
    except QuickParseError:
        return _parse_leniently(bytes(raw).decode("utf-8", "surrogateescape"))


def _parse_leniently(text: str) -> object:
    offset = 0
    try:
        return _lenient.decode(text)
    except json.JSONDecodeError as error:
        offset = error.pos
    except (NumberTooBig, RecursionError):
        pass
    if len(text) > SCAN_LIMIT:
        raise MalformedDocument(f"{PARSE_ERROR}Invalid value. at {offset}")
    return scan(text)


def find(parent: object, key: str) -> object:
    """Return a member, or ``None`` when there is none or the parent is no object."""
    return parent.get(key) if type(parent) is dict else None


def has(parent: object, key: str) -> bool:
    """Return whether the parent is an object with that member."""
    return type(parent) is dict and key in parent


def member(parent: object, key: str) -> object:
    """Return a member that has to be there."""
    if type(parent) is not dict or key not in parent:
        raise MalformedDocument(f"attempt to access non-existing object member '{key}'")
    return parent[key]


def members(value: object) -> dict[str, object]:
    """Return an object's members."""
    if type(value) is not dict:
        raise MalformedDocument("attempt to get members for non-object")
    return value


def as_array(value: object) -> list[object]:
    """Return the value as a list."""
    if type(value) is not list:
        raise MalformedDocument("attempt to access JSON non-array as array")
    return value


def as_string(value: object) -> str:
    """Return the value as a string that has a UTF-8 encoding."""
    if type(value) is not str:
        raise MalformedDocument("attempt to access JSON non-string as string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise MalformedDocument(f"{PARSE_ERROR}Invalid encoding in string.") from error
    return value


def as_bool(value: object) -> bool:
    """Return the value as a boolean."""
    if type(value) is not bool:
        raise MalformedDocument("attempt to access JSON non-boolean as boolean")
    return value


def as_unsigned(value: object) -> int:
    """Return the value as an integer within uint64."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise MalformedDocument("attempt to access JSON non-unsigned-integer as unsigned-integer")
    return value


def field(parent: object, key: str, convert: Callable[[object], Value]) -> Value:
    """Return a member that has to be there, converted; errors name the field."""
    try:
        return convert(member(parent, key))
    except MalformedDocument as error:
        raise MalformedDocument(f"Unable to parse '{key}': {error.message}") from error


def optional(parent: object, key: str, convert: Callable[[object], Value], default: Value) -> Value:
    """Return a member converted, or the default when there is none; errors name the field."""
    return field(parent, key, convert) if has(parent, key) else default
