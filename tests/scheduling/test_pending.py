"""A request on its way through a scheduler."""

import asyncio

from inferd.scheduling.pending import OwnFuture, Pending, total_rows


async def test_it_says_what_the_queue_asks(make):
    """Its rows, priority, timeout and deadline are the request's."""
    request = make.request(1, rows=3, priority=2, timeout_us=7, deadline_ns=9)
    pending = Pending(request, "shape", 5, asyncio.get_running_loop().create_future())

    assert (pending.rows, pending.priority, pending.timeout_us) == (3, 2, 7)
    assert (pending.deadline_ns, pending.enqueued_ns, pending.shape_key) == (9, 5, "shape")
    assert pending.stream is None


async def test_the_rows_of_a_batch_are_those_of_its_requests(make):
    """One without a batch dimension counts as a row."""
    requests = [make.request(1, rows=3), make.request(2)]
    requests[1].batch_size = 0
    assert total_rows([Pending(one, None, 0, asyncio.Future()) for one in requests]) == 4


class _Noted(OwnFuture):
    """A frontend's future that does nothing with its outcome."""

    def __init__(self):
        self._done = False
        self._started = None


class _Queue(list):
    """Notes what is taken back."""

    take_back = list.append


def test_a_future_of_ones_own_takes_its_request_back():
    """Only once it is queued, and not when it has its outcome."""
    queue, future = _Queue(), _Noted()
    future.take_back()
    future.queued((queue, "request"))
    assert not future.done()
    future.take_back()
    assert queue == ["request"]
    future.cancel()
    assert future.done()
    future.take_back()
    assert queue == ["request"]
