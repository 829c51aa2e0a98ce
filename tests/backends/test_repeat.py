"""The backend that answers with the elements of its input, one by one."""

import asyncio
import threading

import numpy as np
import pytest

from inferd.backend import Batch, ResponseSender
from inferd.backends.repeat import RepeatInstance
from inferd.errors import BackendError
from inferd.protocol.messages import InferRequest
from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "repeat"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_%s dims: [ -1 ] }
input { name: "DELAY" data_type: TYPE_UINT32 dims: [ -1 ] }
input { name: "WAIT" data_type: TYPE_UINT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_%s dims: [ 1 ] }
output { name: "IDX" data_type: TYPE_UINT32 dims: [ 1 ] }
"""
FOREVER_MS = 2**32 - 1


class Recorder(ResponseSender):
    """
    Keeps what it is given.

    Attributes:
        sent: The responses.
        over: Set with the end.
        takes: How many responses it takes before its client is gone.
        error: Raised instead of taking one, when set.
        failed: The error it was given.
    """

    def __init__(self, takes=1000, error=None):
        self.sent = []
        self.over = threading.Event()
        self.takes = takes
        self.error = error
        self.failed = None

    is_cancelled = False
    has_room = True

    def send(self, outputs, *, parameters=None, final=False):
        """Keep a response."""
        if self.error is not None:
            raise self.error
        self.sent.append((outputs["OUT"].tolist(), outputs["IDX"].tolist()))
        return len(self.sent) < self.takes

    def fail(self, error, *, final=True):
        """Keep an error."""
        self.failed = error
        self.over.set()
        return True

    def finish(self):
        """Note the end."""
        self.over.set()


def batch(values, delays=None, wait=0, sender=None):
    """Return a batch of one request."""
    delays = [0] * len(values) if delays is None else delays
    inputs = {
        "IN": np.array(values, np.int32),
        "DELAY": np.array(delays, np.uint32),
        "WAIT": np.array([wait], np.uint32),
    }
    made = Batch(inputs, ["OUT", "IDX"], 1, [InferRequest("m", {})])
    made.senders = [sender or Recorder()]
    return made


def instance():
    """Return an instance of a model."""
    return RepeatInstance()


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository of two such models."""
    for name in ("INT32", "FP32"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(CONFIG % (name, name))
    return tmp_path


def inputs(values, delays=None, wait=0, dtype=np.int32):
    """Return a client's inputs."""
    found = dict(batch(values, delays, wait).inputs)
    found["IN"] = found["IN"].astype(dtype)
    return found


@pytest.mark.parametrize(("model", "dtype"), [("INT32", np.int32), ("FP32", np.float32)])
async def test_every_element_is_a_response(repository, model, dtype):
    """With its place; there may be more than fit on the way at once."""
    values = list(range(10, 60))
    async with InMemoryServer(repository) as server:
        stream = server.stream(model, inputs(values, dtype=dtype))
        got = [(one["OUT"].tolist(), one["IDX"].tolist()) async for one in stream]

    assert got == [([value], [index]) for index, value in enumerate(values)]


async def test_no_elements_are_no_responses(repository):
    """There is only the end, which is counted as an empty response."""
    async with InMemoryServer(repository, models=["INT32"]) as server:
        assert [one async for one in server.stream("INT32", inputs([]))] == []
        (statistics,) = server.dataplane.model_statistics("INT32", "")

    assert statistics.response_stats["0"].empty_response.count == 1
    assert statistics.inference_stats.success.count == 1


async def test_lengths_that_differ_are_told(repository):
    """With both of them."""
    async with InMemoryServer(repository, models=["INT32"]) as server:
        with pytest.raises(BackendError) as caught:
            await anext(server.stream("INT32", inputs([1, 2], [0])))

    assert caught.value.message == (
        "inputs 'IN' and 'DELAY' of model 'INT32' must have the same number of elements, got 2 "
        "and 1"
    )


async def test_the_instance_takes_its_next_request_while_it_still_answers(repository):
    """After the milliseconds the request says; a later one may be over before it."""
    async with InMemoryServer(repository, models=["INT32"]) as server, asyncio.timeout(10):
        slow = server.stream("INT32", inputs([1, 2], [0, FOREVER_MS]))
        assert (await anext(slow))["OUT"].tolist() == [1]
        got = [one["OUT"].tolist() async for one in server.stream("INT32", inputs([3], wait=1))]
        assert got == [[3]]
        await slow.aclose()


async def test_a_client_that_leaves_ends_its_waits(repository):
    """The instance takes the next request, and the model can be unloaded."""
    async with InMemoryServer(repository, models=["INT32"]) as server, asyncio.timeout(10):
        slow = server.stream("INT32", inputs([1, 2], [0, FOREVER_MS], FOREVER_MS))
        await anext(slow)
        await slow.aclose()
        got = [one["OUT"].tolist() async for one in server.stream("INT32", inputs([3]))]

    assert got == [[3]]


def test_the_inputs_are_copied():
    """They are lent for the call only."""
    sender, made = Recorder(), instance()
    asked = batch([1, 2], [0, FOREVER_MS], sender=sender)
    made.execute(asked)
    asked.inputs["IN"][:] = 9
    made.close()

    assert sender.over.wait(10)
    assert sender.sent == [([1], [0]), ([2], [1])]


def test_closing_ends_every_wait():
    """That of the instance, and those between responses."""
    sender, made = Recorder(), RepeatInstance()
    asked = batch([1, 2], [FOREVER_MS] * 2, FOREVER_MS, sender)
    thread = threading.Thread(target=made.execute, args=[asked])
    thread.start()
    made.close()
    thread.join(10)

    assert not thread.is_alive()
    assert sender.over.wait(10)
    assert len(sender.sent) == 2


def test_a_client_that_is_gone_gets_no_more():
    """The rest is not sent, and the request ends."""
    sender = Recorder(takes=2)
    instance().execute(batch(range(5), sender=sender))

    assert sender.over.wait(10)
    assert len(sender.sent) == 2


def test_a_response_that_cannot_be_sent_ends_the_request():
    """With the reason."""
    error = BackendError("no such output")
    sender = Recorder(error=error)
    instance().execute(batch([1], sender=sender))

    assert sender.over.wait(10)
    assert sender.failed is error
