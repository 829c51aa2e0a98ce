"""Keeping something alive while it is in use."""

import asyncio

from inferd.scheduling.holds import Holds


async def test_what_nobody_holds_is_released_at_once():
    """There is nothing to wait for."""
    await Holds().released()


async def test_the_last_release_ends_the_wait():
    """Every earlier one does not; who gave up waiting is no trouble."""
    holds = Holds()
    holds.acquire()
    holds.acquire()
    waits = [asyncio.get_running_loop().create_task(holds.released()) for _ in range(2)]
    await asyncio.sleep(0)
    waits[1].cancel()
    holds.release()
    await asyncio.sleep(0)
    assert holds.count == 1
    assert not waits[0].done()

    holds.release()
    await waits[0]
    assert holds.count == 0


async def test_what_is_held_again_is_waited_for_again():
    """A request that came between the last release and the wake-up counts."""
    holds = Holds()
    holds.acquire()
    waiting = asyncio.get_running_loop().create_task(holds.released())
    await asyncio.sleep(0)
    holds.release()
    holds.acquire()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not waiting.done()
    holds.release()
    await waiting
