"""A request on its way through a scheduler."""

import asyncio

from inferd.scheduling.pending import Pending


async def test_it_says_what_the_queue_asks(make):
    """Its rows, priority, timeout and deadline are the request's."""
    request = make.request(1, rows=3, priority=2, timeout_us=7, deadline_ns=9)
    pending = Pending(request, "shape", 5, asyncio.get_running_loop().create_future())

    assert (pending.rows, pending.priority, pending.timeout_us) == (3, 2, 7)
    assert (pending.deadline_ns, pending.enqueued_ns, pending.shape_key) == (9, 5, "shape")
    assert pending.stream is None
