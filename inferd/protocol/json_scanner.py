"""
A JSON reader without recursion, for the documents the fast readers refuse.

It is slow and exact: it takes any nesting depth, and its errors are rapidjson's texts with
rapidjson's offsets, in bytes.
"""

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final, NoReturn

from inferd.errors import MalformedDocument

PARSE_ERROR: Final = "failed to parse the request JSON buffer: "
"""How every error text about a broken document begins."""

BUILD_DEPTH: Final = 512
"""Arrays and objects nested deeper than this are checked but not built; no request Triton
knows has a use for them, and their memory would be many times the document's."""

TOO_DEEP: Final = object()
"""Stands for a container nested deeper than :data:`BUILD_DEPTH`."""

_space = re.compile(r"[ \t\n\r]*").match
_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<real>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)").match
_special = re.compile(r"NaN|-?Inf(?:inity)?").match

_LITERALS: Final[dict[str, tuple[str, object]]] = {
    "n": ("null", None),
    "t": ("true", True),
    "f": ("false", False),
}

_STRING_ERRORS: Final = {
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid control character at": "Invalid encoding in string.",
}


class NumberTooBig(ValueError):
    """A number literal that no float can hold."""


def to_integer(text: str) -> int | float:
    """Return an integer literal exactly, or as a float when it is beyond int64 and uint64."""
    if len(text) <= 20:
        value = int(text)
        if -(1 << 63) <= value < 1 << 64:
            return value
    return to_float(text)


def to_float(text: str) -> float:
    """
    Return a number literal as a float.

    Raises:
        NumberTooBig: It is too large for one.
    """
    value = float(text)
    if math.isinf(value):
        raise NumberTooBig(text[:20])
    return value


def scan(text: str) -> object:
    """
    Return the value of a JSON document.

    Raises:
        MalformedDocument: It is not JSON.
    """
    return _Scanner(text).document()


class _Scanner:
    """One pass over one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._closers: list[str] = []
        self._built: list[list[object] | dict[str, object]] = []
        self._keys: list[str] = []

    def document(self) -> object:
        """Read the whole document."""
        position = self._skip(0)
        if position == len(self._text):
            self._fail("The document is empty.", position)
        while True:
            value, position = self._value(position)
            while self._closers:
                self._add(value)
                position = self._skip(position)
                closed = self._text.startswith(self._closers[-1], position)
                if not closed:
                    position = self._next(position)
                    break
                value, position = self._close(), position + 1
            else:
                break
        position = self._skip(position)
        if position != len(self._text):
            self._fail("The document root must not be followed by other values.", position)
        return value

    def _skip(self, position: int) -> int:
        match = _space(self._text, position)
        assert match is not None
        return match.end()

    def _fail(self, reason: str, position: int) -> NoReturn:
        offset = len(self._text[:position].encode("utf-8", "surrogateescape"))
        raise MalformedDocument(f"{PARSE_ERROR}{reason} at {offset}")

    def _value(self, position: int) -> tuple[object, int]:
        """Read one value, opening containers until there is one that is complete."""
        while (opener := self._text[position : position + 1]) in ("[", "{") and opener:
            self._open(opener)
            position = self._skip(position + 1)
            if self._text.startswith(self._closers[-1], position):
                return self._close(), position + 1
            if opener == "{":
                position = self._key(position)
        return self._scalar(position)

    def _open(self, opener: str) -> None:
        self._closers.append("]" if opener == "[" else "}")
        if len(self._closers) <= BUILD_DEPTH:
            self._built.append([] if opener == "[" else {})
            self._keys.append("")

    def _close(self) -> object:
        depth = len(self._closers)
        self._closers.pop()
        if depth > BUILD_DEPTH:
            return TOO_DEEP
        self._keys.pop()
        return self._built.pop()

    def _add(self, value: object) -> None:
        if len(self._closers) > BUILD_DEPTH:
            return
        container = self._built[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._keys[-1]] = value

    def _next(self, position: int) -> int:
        """Read the comma after an element or member, and the member's name."""
        in_array = self._closers[-1] == "]"
        if not self._text.startswith(",", position):
            what = "] after an array element." if in_array else "} after an object member."
            self._fail(f"Missing a comma or {what}", position)
        position = self._skip(position + 1)
        return position if in_array else self._key(position)

    def _key(self, position: int) -> int:
        if not self._text.startswith('"', position):
            self._fail("Missing a name for object member.", position)
        key, position = self._string(position)
        if len(self._closers) <= BUILD_DEPTH:
            self._keys[-1] = key
        position = self._skip(position)
        if not self._text.startswith(":", position):
            self._fail("Missing a colon after a name of object member.", position)
        return self._skip(position + 1)

    def _string(self, position: int) -> tuple[str, int]:
        try:
            value, end = scanstring(self._text, position + 1, True)
            return value, end
        except json.JSONDecodeError as error:
            for start, reason in _STRING_ERRORS.items():
                if error.msg.startswith(start):
                    self._fail(reason, error.pos)
            self._fail("Missing a closing quotation mark in string.", len(self._text))

    def _scalar(self, position: int) -> tuple[object, int]:
        first = self._text[position : position + 1]
        if first == '"':
            return self._string(position)
        if first in _LITERALS:
            return self._literal(position)
        special = _special(self._text, position)
        if special is not None:
            return float(special[0]), special.end()
        return self._number(position)

    def _literal(self, position: int) -> tuple[object, int]:
        word, value = _LITERALS[self._text[position]]
        for index, letter in enumerate(word):
            if not self._text.startswith(letter, position + index):
                self._fail("Invalid value.", position + index)
        return value, position + len(word)

    def _number(self, position: int) -> tuple[object, int]:
        match = _number(self._text, position)
        if match is None:
            self._fail("Invalid value.", position)
        end = match.end()
        following = self._text[end : end + 1]
        if following == "." and not match["real"]:
            self._fail("Miss fraction part in number.", end + 1)
        if following in ("e", "E") and "e" not in match["real"].lower():
            self._fail("Miss exponent in number.", end + 1)
        try:
            return (to_float if match["real"] else to_integer)(match[0]), end
        except NumberTooBig:
            self._fail("Number too big to be stored in double.", position)
