"""Executing batches of decoupled models: senders, and how every request ends once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inferd.backend import Instance
from inferd.errors import BackendError, InferdError, InvalidRequest
from inferd.protocol.messages import InferResponse
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.decoupled import NOBODY, Sender, execute_decoupled
from inferd.scheduling.replies import ReplyStream
from inferd.scheduling.threads import Completions

AFTER_FINAL = "model 'm' sent a response after the final one"
DROPPED = "model 'm' dropped a request without a final response"


class Scripted(Instance):
    """Executes what the test says."""

    def __init__(self, script):
        self.execute = script

    def execute(self, batch):
        """Never called: replaced by the script."""
        raise NotImplementedError


class Bench:
    """Requests with their streams and senders; what the client got is read at the end."""

    def __init__(self, make, completions, requests=1, **more):
        self.assembler = Assembler(make.signature(), 1)
        self.requests = [make.request(value, **more) for value in range(requests)]
        self.streams = [ReplyStream(request) for request in self.requests]
        self.senders = [
            Sender(stream, self.assembler.respond, completions) for stream in self.streams
        ]

    @property
    def sender(self):
        """The first sender."""
        return self.senders[0]

    def execute(self, script):
        """Execute all requests as one batch."""
        return execute_decoupled(Scripted(script), self.assembler, self.requests, self.senders)

    async def told(self, index=0):
        """Return everything the client of a request is told: first elements, errors, ``None``."""
        told = []
        async with asyncio.timeout(10):
            while True:
                answer, final = await self.streams[index].receive()
                if isinstance(answer, InferResponse):
                    answer = int(answer.outputs[0].array().flat[0])
                elif isinstance(answer, InferdError):
                    answer = (type(answer), answer.message)
                told.append(answer)
                if final:
                    return told


@pytest.fixture(name="bench")
async def _bench(make):
    """Make benches on the running loop."""
    completions = Completions(asyncio.get_running_loop())
    yield lambda *args, **more: Bench(make, completions, *args, **more)
    completions.close()


def y(*values, dtype="<i4"):
    """Return the output of rows of two."""
    return {"Y": np.array([[value] * 2 for value in values], dtype)}


class TestSender:
    """What a backend answers with."""

    async def test_responses_and_errors_arrive_in_order(self, bench):
        """Until the final one."""
        made = bench()
        assert made.sender.has_room
        assert not made.sender.is_cancelled
        assert made.sender.send(y(1))
        assert made.sender.fail(InvalidRequest("not this"), final=False)
        assert made.sender.send(y(2), parameters={"last": True}, final=True)

        assert await made.told() == [1, (InvalidRequest, "not this"), 2]

    @pytest.mark.parametrize(
        ("end", "told"),
        [
            (lambda sender: sender.send(y(3), final=True), 3),
            (lambda sender: sender.fail(BackendError("gone")), (BackendError, "gone")),
            (lambda sender: sender.finish(), None),
            (lambda sender: sender.end(BackendError("gone")), (BackendError, "gone")),
        ],
    )
    async def test_after_the_final_response_there_is_no_other(self, bench, end, told):
        """Sending names the model; the mere end may be sent again."""
        made = bench()
        end(made.sender)
        with pytest.raises(BackendError, match=AFTER_FINAL):
            made.sender.send(y(4))
        with pytest.raises(BackendError, match=AFTER_FINAL):
            made.sender.fail(BackendError("more"))
        made.sender.finish()
        made.sender.end(BackendError("more"))

        assert await made.told() == [told]

    @pytest.mark.parametrize(
        ("outputs", "text"),
        [
            ({"Z": y(1)["Y"]}, "model 'm' sent output 'Z', which its configuration does not have"),
            (y(1, dtype="<f4"), "model 'm' returned output 'Y' as float32, but .* INT32"),
        ],
    )
    async def test_a_wrong_output_is_the_backends_error(self, bench, outputs, text):
        """Nothing is sent, and the request goes on."""
        made = bench()
        with pytest.raises(BackendError, match=text):
            made.sender.send(outputs, final=True)
        made.sender.finish()

        assert await made.told() == [None]

    async def test_outputs_nobody_asked_for_are_not_sent(self, bench):
        """A response may be left with none."""
        made = bench(outputs=["Y"])
        made.sender.send({}, parameters={"tokens": 3})
        made.sender.finish()
        reply = await made.streams[0].receive()

        assert reply.answer.outputs == []
        assert reply.answer.parameters == {"tokens": 3}

    async def test_a_client_that_is_gone_is_seen(self, bench):
        """Nothing is kept for it."""
        made = bench()
        made.streams[0].close()

        assert made.sender.is_cancelled
        assert made.sender.has_room
        assert not made.sender.send(y(1))
        assert not made.sender.send(y(1), final=True)

    async def test_a_dropped_sender_ends_its_request(self, bench):
        """With an error that names the model, wherever the sender was dropped."""
        made = bench()
        made.sender.send(y(1))
        thread = threading.Thread(target=made.senders.clear)
        thread.start()
        thread.join()

        assert await made.told() == [1, (BackendError, DROPPED)]

    async def test_a_dropped_sender_that_was_done_says_nothing(self, bench):
        """The end was told."""
        made = bench()
        made.sender.finish()
        made.senders.clear()

        assert await made.told() == [None]

    async def test_many_threads_answer_one_request(self, bench):
        """Every response arrives once; the end comes when all have sent theirs."""
        made = bench()
        with ThreadPoolExecutor(8) as executor:
            sent = [executor.submit(made.sender.send, y(value)) for value in range(100)]

            def finish():
                for one in sent:
                    assert one.result()
                made.sender.finish()

            threading.Thread(target=finish).start()
            told = await made.told()

        assert sorted(told[:-1]) == list(range(100))
        assert told[-1] is None


class TestExecute:
    """One call of a backend."""

    @pytest.mark.parametrize("nothing", [(), None])
    async def test_returning_nothing_leaves_it_to_the_senders(self, bench, nothing):
        """The execution has its size and times."""
        made, kept = bench(2), []

        def script(batch):
            kept.extend(batch.senders)
            return nothing

        done = made.execute(script)
        assert (done.size, done.answers, done.rescheduled) == (2, [], None)
        assert done.start_ns <= done.gathered_ns <= done.executed_ns <= done.end_ns
        assert made.streams[0].gathered_ns == done.gathered_ns
        for index, sender in enumerate(kept):
            sender.send(y(index), final=True)

        assert [await made.told(index) for index in range(2)] == [[0], [1]]

    async def test_what_is_returned_is_the_final_response_of_each(self, bench):
        """After what was sent; who was answered already gets no more."""
        made = bench(3)

        def script(batch):
            batch.senders[1].send(y(9))
            batch.senders[2].send(y(8), final=True)
            return [batch.inputs["X"] + 1]

        made.execute(script)

        assert [await made.told(index) for index in range(3)] == [[1], [9, 2], [8]]

    @pytest.mark.parametrize("returned", [True, False])
    async def test_requests_fail_apart(self, bench, returned):
        """With what ``batch.fail`` was given, whether or not anything is returned."""
        made = bench(2)

        def script(batch):
            batch.fail(0, InvalidRequest("bad pixel"))
            batch.senders[1].finish()
            return [batch.inputs["X"]] if returned else ()

        made.execute(script)

        assert [await made.told(index) for index in range(2)] == [
            [(InvalidRequest, "bad pixel")],
            [None],
        ]

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (BackendError("out of memory"), (BackendError, "out of memory")),
            (ValueError("secret"), (BackendError, "internal error")),
            (SystemExit(), (BackendError, "internal error")),
            (asyncio.CancelledError(), (BackendError, "internal error")),
        ],
    )
    async def test_whatever_is_raised_ends_what_is_open(self, bench, error, told):
        """After the responses it has sent; nothing is raised, and what is over stays as it is."""
        made = bench(3)

        def script(batch):
            batch.senders[1].send(y(5))
            batch.senders[2].finish()
            raise error

        done = made.execute(script)

        assert done.size == 0
        assert [await made.told(index) for index in range(3)] == [[told], [5, told], [None]]

    async def test_wrong_outputs_are_told_to_every_client(self, bench):
        """The model and the output are named."""
        made = bench(2)
        made.execute(lambda batch: [batch.inputs["X"][:1]])
        text = "model 'm' returned output 'Y' of shape [1, 2] for a batch of 2"

        assert [await made.told(index) for index in range(2)] == [[(BackendError, text)]] * 2

    async def test_a_failure_of_a_request_that_is_not_there(self, bench):
        """It is the backend's mistake; nobody waits for ever."""
        made = bench()

        def script(batch):
            batch.fail(1, InvalidRequest("whose?"))
            return ()

        made.execute(script)

        assert await made.told() == [(BackendError, "internal error")]

    async def test_a_batch_that_cannot_be_gathered(self, bench, make):
        """Its requests end, and the backend is not called."""
        made = bench(2)
        made.requests[1].inputs = {}
        made.execute(pytest.fail)

        assert await made.told(0) == [(BackendError, "internal error")]
        assert made.streams[0].start_ns == 0

    async def test_requests_that_are_executed_again_are_not_answered(self, bench):
        """Neither with what was returned, nor with anything else."""
        made = bench(2)

        def script(batch):
            batch.reschedule(0)
            return [batch.inputs["X"]]

        done = made.execute(script)
        assert done.rescheduled == {0}
        assert await made.told(1) == [1]
        assert not made.streams[0].ended


def test_nobody_gets_what_is_sent_to_nobody(make):
    """The sender of a row that fills an empty slot takes everything and waits for nothing."""
    assert NOBODY.is_cancelled
    assert NOBODY.has_room
    assert not NOBODY.send(y(1), final=True)
    assert not NOBODY.fail(BackendError("gone"))
    NOBODY.finish()
    request = make.request(1)

    def script(batch):
        return [batch.inputs["X"]]

    done = execute_decoupled(Scripted(script), Assembler(make.signature(), 1), [request], [NOBODY])
    assert done.size == 1
