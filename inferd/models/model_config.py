"""
Reading a model config from text or JSON, and printing it as the ``/config`` endpoint does.

The rest of the program uses the betterproto2 message. Google's protobuf only parses and
prints here, in a descriptor pool of its own so that it never meets the classes of
``tritonclient`` in one process, and is imported when the first config is read.
"""

import copy as copying
import difflib
import json
import math
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models.enum_numbers import unknown_enum_number

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.descriptor_pb2 import DescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

_OLD_NAME: Final = "generative_sequence"
"""What ``iterative_sequence`` of sequence batching was called at first; still read."""

_LOCATION = re.compile(r"^\d+:\d+ : ")
_UNKNOWN_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "(\w+)"')
_UNKNOWN_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named (\w+)')


def parse_text(text: str, source: str) -> ModelConfig:
    """
    Parse the protobuf text format of a ``config.pbtxt``.

    Args:
        text: The file's content.
        source: What to call it in messages, usually its path.

    Raises:
        LoadFailed: It does not parse; the message names the source, the line and
            column, and the field.
    """
    from google.protobuf import text_format

    message = _message_class(reading=True)()
    try:
        text_format.Parse(text, message, descriptor_pool=_pool(reading=True))
        return _renamed(message)
    except text_format.ParseError as error:
        where = f"{error.GetLine()}:{error.GetColumn()}: " if error.GetLine() else ""
        raise LoadFailed(
            f"failed to read text proto from {source}: {where}{_explain(str(error))}"
        ) from error


def parse_json(text: str, source: str) -> ModelConfig:
    """
    Parse the proto3 JSON of a config override.

    As Triton: field names in ``snake_case`` or ``camelCase``, enum names in any case,
    numbers may be quoted, unknown fields are refused.

    Args:
        text: The JSON document, an object.
        source: What to call it in messages.

    Raises:
        LoadFailed: It does not parse; the message names the source and the place.
    """
    from google.protobuf import json_format

    message = _message_class(reading=True)()
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys)
        canonical = _canonical_message(message.DESCRIPTOR, document, "")
        json_format.ParseDict(canonical, message, descriptor_pool=_pool(reading=True))
        return _renamed(message)
    except json.JSONDecodeError as error:
        where = f"{error.lineno}:{error.colno}: {error.msg}"
        raise LoadFailed(f"failed to parse JSON of {source}: {where}") from error
    except RecursionError as error:
        raise LoadFailed(f"failed to parse JSON of {source}: nested too deeply") from error
    except (json_format.ParseError, ArithmeticError, ValueError) as error:
        raise LoadFailed(f"failed to parse JSON of {source}: {error}") from error


def to_json(config: ModelConfig) -> dict[str, Any]:
    """
    Return the config as the ``/config`` endpoint prints it.

    Proto field names in declaration order; default scalars, empty arrays and maps are
    printed, unset messages and oneofs are not; enums by name; 64-bit integers as numbers.
    """
    return _print_message(_message_class().FromString(bytes(config)))


def problem_of_enums(config: ModelConfig) -> str:
    """Return which field has an enum number the schema lacks, and the names it may have."""
    return unknown_enum_number(_message_class().FromString(bytes(config)))


def copy(config: ModelConfig) -> ModelConfig:
    """Return a config that shares nothing with the given one."""
    return copying.deepcopy(config)


class _JsonError(ValueError):
    """A well-formed JSON document that is no model config."""


@cache
def _pool(*, reading: bool = False) -> "DescriptorPool":
    """Return the schema's pool; one of its own, with the old names, for what is read."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    encoded = resources.files("inferd._generated").joinpath("protos.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(encoded).file:
        for message in file.message_type if reading else ():
            if message.name == "ModelSequenceBatching":
                _add_old_name(message)
        pool.Add(file)
    return pool


@cache
def _message_class(*, reading: bool = False) -> "type[Message]":
    from google.protobuf import message_factory

    descriptor = _pool(reading=reading).FindMessageTypeByName("inference.ModelConfig")
    message_class: type[Message] = message_factory.GetMessageClass(descriptor)
    return message_class


def _add_old_name(message: "DescriptorProto") -> None:
    """Add ``iterative_sequence`` once more, under the name it had at first."""
    (field,) = (one for one in message.field if one.name == "iterative_sequence")
    message.field.add().CopyFrom(field)
    message.field[-1].number = max(one.number for one in message.field) + 1
    message.field[-1].name, message.field[-1].json_name = _OLD_NAME, "generativeSequence"


def _renamed(message: Any) -> ModelConfig:
    """Return what was read, under the names of today."""
    batching = message.sequence_batching
    if getattr(batching, _OLD_NAME):
        batching.iterative_sequence = True
        batching.ClearField(_OLD_NAME)
    return ModelConfig.parse(message.SerializeToString())


def _explain(reason: str) -> str:
    """Return a text-format error without its place and with the name that was likely meant."""
    reason = _LOCATION.sub("", reason)
    if match := _UNKNOWN_FIELD.search(reason):
        descriptor = _pool().FindMessageTypeByName(match[1])
        return f"Unknown field '{match[2]}' of {_suggest(descriptor, match[2])}"
    if match := _UNKNOWN_VALUE.search(reason):
        names = _pool().FindEnumTypeByName(match[1]).values_by_name
        return reason.removesuffix(".") + _did_you_mean(match[2], names)
    return reason


def _suggest(descriptor: "Descriptor", name: str) -> str:
    """Return the message's name and the field that was likely meant."""
    hint = _did_you_mean(name, (field.name for field in descriptor.fields))
    return f"{descriptor.name}{hint}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _JsonError(f"field '{repeated}' is given more than once")
    return document


def _canonical_message(descriptor: "Descriptor", value: Any, path: str) -> Any:
    """Return the JSON value with enum names in upper case; refuse unknown fields."""
    if value is None and path:
        return None
    if not isinstance(value, dict):
        raise _JsonError(f"'{path}' must be an object" if path else "expected an object")
    fields = {field.camelcase_name: field for field in descriptor.fields}
    fields.update(descriptor.fields_by_name)
    canonical = {}
    for name, item in value.items():
        field = fields.get(name)
        place = f"{path}.{name}" if path else name
        if field is None:
            raise _JsonError(f"Unknown field '{place}' of {_suggest(descriptor, name)}")
        canonical[name] = _canonical_field(field, item, place)
    return canonical


def _canonical_field(field: "FieldDescriptor", value: Any, path: str) -> Any:
    if isinstance(value, list) and not field.has_presence:
        return [_canonical_item(field, item, f"{path}[{i}]") for i, item in enumerate(value)]
    return _canonical_item(field, value, path)


def _canonical_item(field: "FieldDescriptor", value: Any, path: str) -> Any:
    if field.enum_type is not None:
        return value.upper().replace("-", "_") if isinstance(value, str) else value
    if field.message_type is None:
        return value
    if not _is_map(field):
        return _canonical_message(field.message_type, value, path)
    if not isinstance(value, dict):
        return value
    of_value = field.message_type.fields_by_name["value"]
    return {key: _canonical_item(of_value, item, f"{path}[{key}]") for key, item in value.items()}


def _is_map(field: "FieldDescriptor") -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _print_message(message: "Message") -> dict[str, Any]:
    return {
        field.name: _print_field(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _print_field(field: "FieldDescriptor", value: Any) -> Any:
    if _is_map(field):
        of_value = field.message_type.fields_by_name["value"]
        return {str(key): _print_value(of_value, value[key]) for key in sorted(value)}
    if field.has_presence or isinstance(value, bool | int | float | str):
        return _print_value(field, value)
    return [_print_value(field, item) for item in value]


def _print_value(field: "FieldDescriptor", value: Any) -> Any:
    if field.message_type is not None:
        return _print_message(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return _print_real(value, single=field.type == field.TYPE_FLOAT)
    return value


def _print_real(value: float, *, single: bool) -> float | str:
    """Return the shortest number that reads back as the same value, or proto3 JSON's name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(str(np.float32(value))) if single else value
