"""A request of a sequence on its way through its scheduler."""

import asyncio

from inferd.scheduling.sequence_step import Step


async def test_it_waits_for_its_first_execution(make):
    """Nothing has happened to it yet, and it has no sender that a backend could drop."""
    request = make.request(1)
    step = Step(request, "shape", 5, asyncio.get_running_loop().create_future())

    assert (step.queued, step.discarded, step.again, step.once) == (True, False, False, False)
    assert (step.request, step.shape_key, step.enqueued_ns) == (request, "shape", 5)
    assert (step.stream, step.sender) == (None, None)
