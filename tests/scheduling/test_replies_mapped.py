"""Replies that are a single answer, and replies with something done to every response."""

import asyncio

import pytest

from inferd.errors import BackendError, InvalidRequest
from inferd.scheduling.replies import MappedReplies, OneReply, Reply
from tests.scheduling.replying import END, Wire, response, seen


class TestOneReply:
    """Requests with one answer."""

    async def test_the_answer_is_the_final_reply(self):
        """There is no other."""

        async def answer():
            return response(7)

        assert seen([await OneReply(answer()).receive()]) == [("7", True)]

    async def test_an_error_is_the_final_reply(self):
        """Clients are told of it in the same way."""
        error = InvalidRequest("no")

        async def answer():
            raise error

        assert await OneReply(answer()).receive() == Reply(error, final=True)

    async def test_what_nobody_foresaw_is_raised(self):
        """Whoever asks logs it."""

        async def answer():
            raise ValueError("bug")

        with pytest.raises(ValueError, match="bug"):
            await OneReply(answer()).receive()

    async def test_cancelling_it_takes_the_request_back(self):
        """As it does without replies."""
        cancelled = []

        async def answer():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        task = asyncio.get_running_loop().create_task(OneReply(answer()).receive())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert cancelled == [True]

    async def test_closing_it_before_forgets_the_request(self):
        """Nothing is begun, and nothing complains; closing it afterwards does nothing."""
        begun = []

        async def answer():
            begun.append(True)
            return response()

        OneReply(answer()).close()
        assert begun == []
        over = OneReply(answer())
        await over.receive()
        over.close()

        assert begun == [True]


class TestMappedReplies:
    """Replies with something done to every response."""

    async def test_responses_are_changed_and_nothing_else(self):
        """Errors and the end pass."""
        wire = Wire()
        error = BackendError("one of many")
        wire.send(response(1))
        wire.send(error)
        wire.send(response(2), final=True)
        mapped = MappedReplies(wire.stream, lambda one: response(one.id * 2))

        assert seen([await mapped.receive() for _ in range(3)]) == [
            ("11", False),
            (error, False),
            ("22", True),
        ]
        other = Wire()
        other.send(None, final=True)
        assert await MappedReplies(other.stream, response).receive() == END

    async def test_an_error_of_the_change_ends_the_request(self):
        """The rest is not wanted."""
        wire = Wire()
        error = InvalidRequest("no classes")

        def refuse(_):
            raise error

        wire.send(response())

        assert await MappedReplies(wire.stream, refuse).receive() == Reply(error, final=True)
        assert wire.stream.cancelled
        assert wire.left == 1

    async def test_closing_it_takes_the_request_back(self):
        """As closing its source does."""
        wire = Wire()
        MappedReplies(wire.stream, response).close()

        assert wire.left == 1
