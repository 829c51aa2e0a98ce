"""A request's place: what it is handed, and that it is handed it once."""

import gc

import pytest

from inferd.errors import NotFound
from inferd.frontends.http.fastlane.framing import Inference
from inferd.frontends.http.fastlane.head import InferHead
from inferd.frontends.http.fastlane.slots import Slot
from inferd.frontends.http.routes import Route
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.pending import Pending


class Connection:
    """Remembers what its slots were handed."""

    def __init__(self):
        self.handed = []

    def answer(self, slot, response):
        """Take an answer."""
        self.handed.append((slot, response))

    def fail(self, slot, error):
        """Take what went wrong."""
        self.handed.append((slot, error))


class Queue:
    """Remembers what was taken back."""

    def __init__(self):
        self.taken_back = []

    def take_back(self, pending):
        """Give a request up."""
        self.taken_back.append(pending)
        pending.future.cancel()

    def end_turn(self):
        """Execute nothing."""


def queued(keep_alive=True):
    """Return a slot whose request is queued, and what it has to do with."""
    head = InferHead(Route("infer", "m"), keep_alive=keep_alive)
    connection, queue = Connection(), Queue()
    slot = Slot(Inference(head, memoryview(b""), True), connection)
    pending = Pending(InferRequest("m", {}), None, 0, slot)
    slot.queued((queue, pending))
    return slot, connection, queue, pending


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_place_knows_whether_it_is_the_last(keep_alive):
    """Behind a request with Connection: close there is none."""
    assert queued(keep_alive)[0].closes is not keep_alive


def test_an_answer_is_handed_on():
    """The connection is told at once, and there is nothing left to take back."""
    slot, connection, queue, _ = queued()
    assert not slot.done()
    response = InferResponse("m", "1", ())
    slot.set_result(response)
    assert slot.done()
    assert connection.handed == [(slot, response)]
    slot.take_back()
    assert queue.taken_back == []


def test_an_error_is_handed_on():
    """So is what went wrong."""
    slot, connection, queue, _ = queued()
    error = NotFound("no")
    slot.set_exception(error)
    assert slot.done()
    assert connection.handed == [(slot, error)]
    slot.take_back()
    assert queue.taken_back == []


def test_a_request_is_given_up_where_it_is_queued():
    """Its connection is not told: nobody waits there."""
    slot, connection, queue, pending = queued()
    slot.take_back()
    assert queue.taken_back == [pending]
    assert slot.done()
    assert connection.handed == []


def test_nothing_was_begun():
    """A request that never got into a queue has nothing to be taken back from."""
    slot = Slot(Inference(InferHead(Route("infer", "m")), memoryview(b""), True), Connection())
    slot.take_back()
    assert not slot.done()


@pytest.mark.parametrize(
    ("end", "arguments"),
    [
        ("set_result", (InferResponse("m", "1", ()),)),
        ("set_exception", (NotFound("no"),)),
        ("cancel", ()),
    ],
)
def test_what_is_over_is_freed(end, arguments):
    """A request leaves nothing to Python's collector, which is slow."""
    slot, connection, queue, pending = queued()
    gc.collect()
    gc.disable()
    try:
        getattr(slot, end)(*arguments)
        connection.handed.clear()
        del slot, connection, queue, pending
        assert gc.collect() == 0
    finally:
        gc.enable()
