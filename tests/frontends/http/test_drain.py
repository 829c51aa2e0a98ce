"""Counting the requests in flight at the end."""

import asyncio

from inferd.frontends.http.drain import Drain


async def test_nobody_is_waited_for():
    """Without requests the end needs no grace."""
    drain = Drain()
    assert await drain.finish(0)
    assert drain.begun


async def test_the_last_request_ends_the_drain():
    """The end comes with the last request's answer."""
    drain = Drain()
    drain.enter()
    drain.enter()
    ending = asyncio.ensure_future(drain.finish(60))
    await asyncio.sleep(0)
    drain.leave()
    await asyncio.sleep(0)
    assert not ending.done()
    drain.leave()
    assert await ending


async def test_requests_before_the_drain_do_not_count():
    """Requests that ended before are forgotten."""
    drain = Drain()
    drain.enter()
    drain.leave()
    drain.enter()
    assert not await drain.finish(0)
