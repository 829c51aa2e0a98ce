"""What becomes of requests that a backend wants to execute again."""

import asyncio
from dataclasses import dataclass

import pytest

from inferd.errors import BackendError, InvalidRequest
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.execution import Execution
from inferd.scheduling.replies import Reply, ReplyStream
from inferd.scheduling.rescheduling import end_unfinished, goes_on, refuse_rescheduled

TEXT = (
    "Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE, but the sequence batching "
    "of model 'm' is not iterative"
)
END = Reply(None, final=True)


@dataclass
class Executed:
    """A request of a batch that was executed."""

    request: InferRequest
    future: asyncio.Future
    stream: ReplyStream | None


@pytest.fixture(name="ask")
async def _ask():
    """Make executed requests."""

    def ask(*, decoupled):
        request = InferRequest("m", {})
        future = asyncio.get_running_loop().create_future()
        return Executed(request, future, ReplyStream(request) if decoupled else None)

    return ask


def done(answers=(), rescheduled=()):
    """Return an execution."""
    execution = Execution(0)
    execution.answers = list(answers)
    execution.rescheduled = set(rescheduled)
    return execution


def response():
    """Return a response."""
    return InferResponse("m", "1", ())


async def ended(stream):
    """Return the next reply."""
    return await asyncio.wait_for(stream.receive(), 10)


async def test_a_model_that_may_not_reschedule_fails_the_request(ask):
    """The others of its batch keep their answers."""
    kept = response()
    execution = done([kept, response()], [1])
    refuse_rescheduled([ask(decoupled=False), ask(decoupled=False)], execution)

    assert execution.answers[0] is kept
    assert execution.answers[1].message == TEXT


async def test_a_decoupled_model_that_may_not_reschedule_ends_the_stream(ask):
    """With the same error; the others go on."""
    batch = [ask(decoupled=True), ask(decoupled=True)]
    refuse_rescheduled(batch, done(rescheduled=[0]))

    answer, final = await ended(batch[0].stream)
    assert (type(answer), answer.message, final) == (BackendError, TEXT, True)
    assert not batch[1].stream.ended


async def test_a_stream_that_is_over_stays_as_it_is(ask):
    """Whatever the backend asked for."""
    executed = ask(decoupled=True)
    executed.stream.enter(END, executed.stream.deliver)
    refuse_rescheduled([executed], done(rescheduled=[0]))
    end_unfinished(executed)

    assert await ended(executed.stream) == END


async def test_nothing_rescheduled_is_nothing_to_refuse(ask):
    """The ordinary case."""
    execution = Execution(0)
    execution.answers = [response()]
    refuse_rescheduled([ask(decoupled=False)], execution)

    assert isinstance(execution.answers[0], InferResponse)


async def test_a_request_nobody_continues_is_ended(ask):
    """One that is not decoupled has its answer."""
    executed = ask(decoupled=True)
    end_unfinished(executed)
    end_unfinished(ask(decoupled=False))

    assert await ended(executed.stream) == END


async def test_a_request_that_is_waited_for_goes_on(ask):
    """Unless it failed, is over, or its client is gone."""
    plain, decoupled = ask(decoupled=False), ask(decoupled=True)
    assert goes_on(plain, done([response()]), 0)
    assert not goes_on(plain, done([InvalidRequest("no")]), 0)
    assert goes_on(decoupled, done(), 0)
    decoupled.stream.enter(END, decoupled.stream.deliver)
    assert not goes_on(decoupled, done(), 0)
    gone = ask(decoupled=True)
    gone.future.cancel()

    assert not goes_on(gone, done(), 0)
