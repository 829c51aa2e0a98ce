"""The open requests of a decoupled model: each ends once, and everything is counted."""

import asyncio

import pytest

from inferd.errors import BackendError, QueueTimeout, RequestCancelled
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.execution import Execution
from inferd.scheduling.pending import Pending
from inferd.scheduling.settlement import settle
from inferd.scheduling.statistics import Duration, ModelStatistics
from inferd.scheduling.streams import OpenStreams
from inferd.scheduling.threads import Completions


class Desk:
    """
    Open streams, and requests on their way.

    Attributes:
        statistics: What was counted.
        ends: How often a request was over.
        taken_back: The requests that were taken back.
    """

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.completions = Completions(self.loop)
        self.statistics = ModelStatistics()
        self.ends = 0
        self.taken_back = []
        self.streams = OpenStreams(self.statistics, self._end)

    def _end(self):
        self.ends += 1

    def ask(self):
        """Return a queued request."""
        future = self.loop.create_future()
        pending = Pending(InferRequest("m", {}), None, 0, future)
        pending.stream = self.streams.open(pending, future, self.taken_back.append)
        return pending

    def sender(self, pending):
        """Return the sender of a request that is executed now."""
        sender = self.streams.sender(pending, respond, self.completions)
        sender.begin(100, 200)
        return sender

    async def replies(self, pending):
        """Receive everything."""
        replies = []
        async with asyncio.timeout(10):
            while not (replies and replies[-1].final):
                replies.append(await pending.stream.receive())
        return [reply.answer for reply in replies]

    async def turn(self):
        """Let what was posted arrive."""
        for _ in range(5):
            await asyncio.sleep(0)

    def counted(self, index=0):
        """Return how often each kind of response was counted at a place."""
        found = self.statistics.responses[index]
        return {
            name: getattr(found, name).count
            for name in ("success", "fail", "empty_response", "cancel")
            if getattr(found, name).count
        }


def respond(request, outputs, parameters):
    """Make a response of nothing."""
    return InferResponse(request.model_name, "1", (), parameters=parameters)


@pytest.fixture(name="desk")
async def _desk():
    """A desk whose way to the loop is closed at the end."""
    desk = Desk()
    yield desk
    desk.completions.close()


async def test_a_request_is_settled_once_with_its_final_reply(desk):
    """A success, counted with each response by its kind."""
    pending = desk.ask()
    assert len(desk.streams) == 0
    sender = desk.sender(pending)
    assert len(desk.streams) == 1
    sender.send({})
    await desk.turn()
    assert not pending.future.done()
    sender.send({})
    sender.finish()
    await desk.turn()

    assert pending.future.done()
    assert (len(desk.streams), desk.ends) == (0, 1)
    assert desk.statistics.success.count == 1
    assert desk.statistics.fail.count == 0
    assert [desk.counted(index) for index in range(3)] == [
        {"success": 1},
        {"success": 1},
        {"empty_response": 1},
    ]
    assert desk.statistics.responses[2].compute_infer == Duration()
    assert len(await desk.replies(pending)) == 3


@pytest.mark.parametrize("final", [True, False])
async def test_a_request_with_an_error_among_its_replies_has_failed(desk, final):
    """Wherever the error was."""
    pending = desk.ask()
    sender = desk.sender(pending)
    error = BackendError("gone")
    sender.send({})
    sender.fail(error, final=final)
    if not final:
        sender.send({}, final=True)
    await desk.turn()

    assert pending.future.exception() is error
    assert desk.statistics.success.count == 0
    assert desk.statistics.failures["BACKEND"] == 1
    assert [desk.counted(index) for index in range(2)] == [{"success": 1}, {"fail": 1}]
    assert (len(desk.streams), desk.ends) == (0, 1)
    replies = await desk.replies(pending)
    assert replies.count(error) == 1


async def test_a_request_rejected_in_the_queue_is_told_so(desk):
    """Its one reply is the error; it never was an open stream."""
    pending = desk.ask()
    error = QueueTimeout("too long")
    settle(desk.statistics, pending, error, Execution(5))

    assert await desk.replies(pending) == [error]
    assert desk.statistics.failures["REJECTED"] == 1
    assert desk.statistics.responses == {}
    assert (len(desk.streams), desk.ends, desk.taken_back) == (0, 0, [])


async def test_a_client_that_leaves_the_queue(desk):
    """The request is taken back, once."""
    pending = desk.ask()
    pending.stream.close()
    pending.stream.close()
    await desk.turn()

    assert desk.taken_back == [pending]
    assert pending.future.cancelled()


async def test_a_client_that_leaves_during_the_execution(desk):
    """The request counts until the backend ends it, and what is sent is counted as cancelled."""
    pending = desk.ask()
    sender = desk.sender(pending)
    sender.send({})
    await desk.turn()
    pending.stream.close()
    assert not sender.send({})
    assert len(desk.streams) == 1
    assert desk.ends == 0
    sender.fail(BackendError("stopped"))
    await desk.turn()

    assert (len(desk.streams), desk.ends) == (0, 1)
    assert desk.statistics.failures == {"REJECTED": 0, "CANCELED": 1, "BACKEND": 0, "OTHER": 0}
    assert [desk.counted(index) for index in range(2)] == [{"success": 1}, {"cancel": 1}]


async def test_a_request_that_is_cancelled_by_the_server(desk):
    """The client is told."""
    pending = desk.ask()
    pending.future.cancel()
    (answer,) = await desk.replies(pending)

    assert isinstance(answer, RequestCancelled)


async def test_the_times_of_a_request_begin_with_its_first_execution(desk):
    """From queue to end."""
    pending = desk.ask()
    desk.sender(pending).finish()
    await desk.turn()

    assert desk.statistics.queue == Duration(1, 100)
    assert desk.statistics.compute_input == Duration(1, 100)
    assert desk.statistics.compute_output == Duration(1, 0)
