"""
Finds enum numbers that the config's schema does not have.

Protobuf keeps a number it does not know; a scheduler would take it for the default, which
is not what was asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message


def unknown_enum_number(message: "Message") -> str:
    """Return what is wrong with the first such number, naming its field; ``""`` if nothing is."""
    return next(_unknown(message, ""), "")


def _unknown(message: "Message", prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        for path, item in _items(field, value, prefix + field.name):
            if hasattr(item, "ListFields"):
                yield from _unknown(item, f"{path}.")
            elif field.enum_type is not None and item not in field.enum_type.values_by_number:
                names = ", ".join(known.name for known in field.enum_type.values)
                yield f"'{path}' has no value {item}, it is one of {names}"


def _items(field: "FieldDescriptor", value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of a field, each with its place."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from ((f"{path}[{key}]", value[key]) for key in value)
    elif hasattr(value, "append"):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        yield path, value
