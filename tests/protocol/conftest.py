"""Google's protobuf as the judge of ours."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import inferd._generated


@pytest.fixture(scope="session")
def google():
    """Google's classes of our messages by name, from a pool of their own."""
    path = Path(inferd._generated.__file__).parent / "protos.binpb"
    pool = descriptor_pool.DescriptorPool()
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            found[message.name] = message_factory.GetMessageClass(descriptor)
    return SimpleNamespace(**found)
