"""The bytes a call has received."""

import asyncio

import pytest

from inferd.frontends.grpc.inbox import Inbox


@pytest.fixture
def credit():
    """The credit returned so far, chunk by chunk."""
    return []


@pytest.fixture
def inbox(credit):
    """An empty inbox."""
    return Inbox(credit.append)


async def test_reads_are_independent_of_chunks(inbox):
    """What is read need not be cut as it arrived."""
    inbox.add(b"ab", 2)
    inbox.add(b"cdef", 4)
    inbox.eof()
    assert [await inbox.read(size) for size in (1, 3, 2)] == [b"a", b"bcd", b"ef"]


async def test_credit_is_returned_when_a_chunk_is_first_read(inbox, credit):
    """What is not read keeps its credit, so a peer can only have its window buffered."""
    inbox.add(b"abcd", 10)
    inbox.add(b"e", 1)
    assert credit == []
    await inbox.read(1)
    await inbox.read(3)
    assert credit == [10]
    await inbox.read(1)
    assert credit == [10, 1]


async def test_reading_waits_for_bytes(inbox):
    """A read is complete when the last of its bytes has arrived."""
    reading = asyncio.create_task(inbox.read(3))
    for data in (b"a", b"b", b"c"):
        await asyncio.sleep(0)
        assert not reading.done()
        inbox.add(data, 1)
    assert await reading == b"abc"


async def test_the_end_cuts_a_read_short(inbox):
    """At the end of the stream a read returns what is left, and then nothing."""
    reading = asyncio.create_task(inbox.read(3))
    await asyncio.sleep(0)
    inbox.add(b"a", 1)
    inbox.eof()
    assert await reading == b"a"
    assert await inbox.read(3) == b""


async def test_nothing_is_read_without_waiting(inbox):
    """A message of no bytes needs none."""
    assert await inbox.read(0) == b""


async def test_what_is_left_gives_its_credit_back(inbox, credit):
    """A call that ends early frees the window for the connection's other calls."""
    inbox.add(b"abcd", 4)
    inbox.add(b"ef", 2)
    await inbox.read(1)
    assert inbox.unacked_size() == 2
    assert inbox.unacked_size() == 0


async def test_empty_frames_are_not_kept(inbox, credit):
    """A peer cannot fill the memory with frames that use none of its window."""
    inbox.add(b"", 0)
    assert not inbox._chunks
    inbox.add(b"", 5)  # nothing but padding
    inbox.add(b"a", 1)
    assert await inbox.read(1) == b"a"
    assert credit == [5, 1]
