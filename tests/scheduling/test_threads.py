"""Work on an instance's thread and its way back to the loop."""

import asyncio
import threading

from inferd.scheduling.threads import Completions, InstanceThread


async def test_work_runs_on_the_thread_and_is_delivered_on_the_loop():
    """In order, each result once."""
    loop = asyncio.get_running_loop()
    completions = Completions(loop)
    thread = InstanceThread("worker", completions)
    done = loop.create_future()
    delivered = []

    def deliver(result):
        delivered.append((*result, threading.current_thread()))
        if len(delivered) == 50:
            done.set_result(None)

    for index in range(50):
        thread.run(lambda index=index: (index, threading.current_thread().name), deliver)
    await asyncio.wait_for(done, 10)
    thread.stop()
    thread.join()
    completions.close()

    assert [index for index, _, _ in delivered] == list(range(50))
    assert {name for _, name, _ in delivered} == {"worker"}
    assert {where for _, _, where in delivered} == {threading.main_thread()}


async def test_a_delivery_that_raises_does_not_hold_up_the_next(caplog):
    """What was posted behind it is delivered, and the log has the traceback."""
    loop = asyncio.get_running_loop()
    completions = Completions(loop)
    done = loop.create_future()

    def fail(result):
        raise ValueError(result)

    completions.post(fail, "first")
    completions.post(done.set_result, "second")

    assert await asyncio.wait_for(done, 10) == "second"
    assert "ValueError: first" in caplog.text
    completions.close()


async def test_a_thread_that_never_worked_can_be_stopped():
    """Models that always run inline have no thread."""
    completions = Completions(asyncio.get_running_loop())
    idle = InstanceThread("idle", completions)
    idle.stop()
    idle.join()
    completions.close()
