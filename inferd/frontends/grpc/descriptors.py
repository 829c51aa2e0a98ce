"""
Finds the descriptions of the server's protobuf files by their names and by what they define.

Source: gRPC's server reflection protocol, ``grpc.reflection.v1``.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import (
        DescriptorProto,
        EnumDescriptorProto,
        FileDescriptorProto,
    )


_NO_ALIASES: Final[Mapping[str, str]] = {}


class Descriptors:
    """
    The server's protobuf files.

    Args:
        encoded: A ``FileDescriptorSet`` as protoc writes it, dependencies included.
        aliases: Package -> another name under which it is served, too.

    Attributes:
        services: The full names of the services they define, sorted.
    """

    def __init__(self, encoded: bytes, aliases: Mapping[str, str] = _NO_ALIASES) -> None:
        from google.protobuf.descriptor_pb2 import FileDescriptorSet

        files = list(FileDescriptorSet.FromString(encoded).file)
        known = [file for file in files if file.package in aliases]
        files += [_renamed(file, aliases[file.package]) for file in known]
        self._files = {file.name: file for file in files}
        self._owners = {symbol: file.name for file in files for symbol in _symbols(file)}
        self.services = sorted(
            f"{file.package}.{service.name}" for file in files for service in file.service
        )

    def file(self, name: str) -> list[bytes] | None:
        """Return a file and those it depends on, encoded; ``None`` if there is no such file."""
        if name not in self._files:
            return None
        needed = {name: None}
        for one in (pending := [name]):
            for dependency in self._files[one].dependency:
                if dependency not in needed:
                    needed[dependency] = None
                    pending.append(dependency)
        return [self._files[one].SerializeToString() for one in needed]

    def file_of(self, symbol: str) -> list[bytes] | None:
        """Return the file that defines a message, field, enum, service or method, and so on."""
        owner = self._owners.get(symbol)
        return None if owner is None else self.file(owner)

    def is_message(self, name: str) -> bool:
        """Whether a full name is that of a message."""
        owner = self._owners.get(name)
        if owner is None:
            return False
        file = self._files[owner]
        return name in _message_names(file.package, file.message_type)


def own_descriptors() -> Descriptors:
    """Return those of the services this server has; reads them from the package."""
    encoded = resources.files("inferd._generated").joinpath("protos.binpb").read_bytes()
    return Descriptors(encoded, {"grpc.reflection.v1": "grpc.reflection.v1alpha"})


def _renamed(file: "FileDescriptorProto", package: str) -> "FileDescriptorProto":
    """Return a file of flat messages with another package, and a name of its own."""
    copy = type(file)()
    copy.CopyFrom(file)
    old, new = f".{file.package}.", f".{package}."
    copy.name, copy.package = f"{package}/{file.name}", package
    for message in copy.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(old, new)
    for service in copy.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
    return copy


def _symbols(file: "FileDescriptorProto") -> Iterator[str]:
    for message in file.message_type:
        yield from _of_message(file.package, message)
    for enum in file.enum_type:
        yield from _of_enum(file.package, enum)
    for service in file.service:
        name = f"{file.package}.{service.name}"
        yield name
        yield from (f"{name}.{method.name}" for method in service.method)


def _of_message(scope: str, message: "DescriptorProto") -> Iterator[str]:
    name = f"{scope}.{message.name}"
    yield name
    yield from (f"{name}.{field.name}" for field in message.field)
    yield from (f"{name}.{oneof.name}" for oneof in message.oneof_decl)
    for nested in message.nested_type:
        yield from _of_message(name, nested)
    for enum in message.enum_type:
        yield from _of_enum(name, enum)


def _of_enum(scope: str, enum: "EnumDescriptorProto") -> Iterator[str]:
    yield f"{scope}.{enum.name}"
    # An enum's values are siblings of the enum.
    yield from (f"{scope}.{value.name}" for value in enum.value)


def _message_names(scope: str, messages: "list[DescriptorProto]") -> Iterator[str]:
    for message in messages:
        name = f"{scope}.{message.name}"
        yield name
        yield from _message_names(name, message.nested_type)
