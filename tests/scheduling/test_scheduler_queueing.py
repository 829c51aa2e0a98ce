"""The shell under queue policies: timeouts, full queues, priorities and answers in order."""

import asyncio
import gc
import random
import weakref

import pytest

from inferd.errors import BackendError, DeadlineExceeded, QueueFull, QueueTimeout
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy

SOON_NS = 1_000_000
LATE_NS = 3_600_000_000_000


def limited(combines=True, levels=1, **limits):
    """Return a policy whose levels all have these limits."""
    return BatchPolicy(4, combines, priorities=PriorityPolicy(levels, 1, QueuePolicy(**limits)))


ORDERED = BatchPolicy(1, False, preserves_order=True)


class TestTimeouts:
    """A request that waits for too long."""

    async def test_it_is_rejected_while_a_batch_executes(self, rigs):
        """At its timeout, however long the execution takes; the work is not done."""
        rig = rigs(policy=limited(allow_override=True))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        second = rig.start(1, timeout_us=1000)
        with pytest.raises(QueueTimeout, match=r"^Request timeout expired$"):
            await asyncio.wait_for(second, 10)
        assert not first.done()
        rig.instance.open()

        assert await first == 1
        assert rig.instance.sizes == [1]
        assert rig.statistics.failures["REJECTED"] == 1
        assert rig.statistics.pending == 0

    async def test_it_is_rejected_while_its_batch_waits_for_others(self, rigs):
        """The queue delay does not hold a timeout up."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=SOON_NS))
        rig = rigs(policy=BatchPolicy(4, True, LATE_NS, priorities=priorities))

        with pytest.raises(QueueTimeout):
            await asyncio.wait_for(rig.infer(0), 10)
        assert rig.instance.sizes == []

    async def test_a_timeout_of_its_own_counts_where_allowed(self, rigs):
        """The others wait for the model's."""
        rig = rigs(policy=limited(timeout_ns=LATE_NS, allow_override=True))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        patient, hasty = rig.start(1), rig.start(2, timeout_us=1000)
        with pytest.raises(QueueTimeout):
            await asyncio.wait_for(hasty, 10)
        rig.instance.open()

        assert await asyncio.gather(first, patient) == [1, 2]

    async def test_a_timeout_of_centuries_is_as_good_as_none(self, rigs):
        """Clients may send any 64-bit number."""
        rig = rigs(policy=limited(allow_override=True))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        second = rig.start(1, timeout_us=2**64 - 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rig.instance.open()

        assert await asyncio.gather(first, second) == [1, 2]

    async def test_a_delayed_request_is_executed_after_those_in_time(self, rigs):
        """It is not rejected."""
        policy = limited(combines=False, timeout_ns=LATE_NS, allow_override=True, delays=True)
        rig = rigs(policy=policy)
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        order = []
        late = rig.start(1, timeout_us=1)
        timely = rig.start(2)
        for name, task in (("late", late), ("timely", timely)):
            task.add_done_callback(lambda _, name=name: order.append(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rig.instance.open()

        assert await asyncio.gather(first, late, timely) == [1, 2, 3]
        assert order == ["timely", "late"]
        assert rig.statistics.failures["REJECTED"] == 0

    async def test_a_delayed_request_can_be_cancelled(self, rigs):
        """It is still in the queue."""
        rig = rigs(policy=limited(timeout_ns=1, delays=True))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        late = rig.start(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        late.cancel()
        rig.instance.open()

        assert await first == 1
        assert late.cancelled()
        assert rig.instance.sizes == [1]
        assert rig.statistics.failures["CANCELED"] == 1

    async def test_it_is_a_deadline_where_the_operator_says_so(self, rigs):
        """For clients and proxies that tell the two apart by the status."""
        rig = rigs(policy=limited(timeout_ns=1), strict_deadlines=True)

        with pytest.raises(DeadlineExceeded, match=r"^Request timeout expired$"):
            await asyncio.wait_for(rig.infer(0), 10)

    async def test_draining_ends_when_the_last_request_times_out(self, rigs):
        """Nobody is left to answer."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=SOON_NS))
        rig = rigs(policy=BatchPolicy(4, True, LATE_NS, priorities=priorities))
        task = rig.start(0)
        await asyncio.sleep(0)
        await asyncio.wait_for(rig.scheduler.drain(), 10)

        with pytest.raises(QueueTimeout):
            await task


class TestFullQueue:
    """As many requests wait as the config allows."""

    async def test_one_more_is_refused_at_once(self, rigs):
        """Those that wait are answered, and there is room again."""
        rig = rigs(policy=limited(max_size=2))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        waiting = [rig.start(1), rig.start(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match=r"^Exceeds maximum queue size$"):
            await rig.infer(3)
        assert rig.statistics.failures["REJECTED"] == 1
        assert rig.statistics.pending == 2
        rig.instance.open()

        assert await asyncio.gather(first, *waiting) == [1, 2, 3]
        assert await rig.infer(4) == 5

    async def test_an_idle_instance_makes_room(self, rigs):
        """Requests of one turn are not refused while nothing executes."""
        rig = rigs(policy=limited(max_size=1), instances=2)
        answers = await asyncio.gather(rig.infer(0), rig.infer(1), rig.infer(2))

        assert answers == [1, 2, 3]

    async def test_a_request_that_timed_out_makes_room(self, rigs):
        """Even when the timer has not gone off yet."""
        rig = rigs(policy=limited(max_size=1, allow_override=True))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        hasty = [rig.start(value, timeout_us=1) for value in (1, 2)]
        answers = await asyncio.gather(*hasty, return_exceptions=True)
        rig.instance.open()

        assert [type(answer) for answer in answers] == [QueueTimeout, QueueTimeout]
        assert await first == 1


async def test_a_higher_priority_is_executed_first(rigs):
    """Level 1 before level 2, whoever came first."""
    rig = rigs(policy=limited(combines=False, levels=2))
    rig.instance.hold()
    first = rig.start(0)
    await rig.started()
    order = []
    tasks = [rig.start(value, priority=priority) for value, priority in ((1, 2), (2, 1))]
    for task in tasks:
        task.add_done_callback(lambda task: order.append(task.result()))
    await asyncio.sleep(0)
    rig.instance.open()

    assert await asyncio.gather(first, *tasks) == [1, 2, 3]
    assert order == [3, 2]


@pytest.mark.parametrize("timeout_us", [0, 1000], ids=["cancelled", "timed out"])
async def test_a_request_that_left_the_queue_is_let_go_at_once(rigs, timeout_us):
    """Its tensors do not wait for the execution in front of it."""
    rig = rigs(policy=limited(timeout_ns=LATE_NS, allow_override=True))
    rig.instance.hold()
    first = rig.start(0)
    await rig.started()
    request = rig.make.request(1, raw=False, timeout_us=timeout_us)
    tensor = weakref.ref(request.inputs["X"].array())
    task = asyncio.create_task(rig.scheduler.infer(request))
    await asyncio.sleep(0)
    if not timeout_us:
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or isinstance(task.exception(), QueueTimeout)
    del task, request
    gc.collect()

    assert tensor() is None
    rig.instance.open()
    assert await first == 1


@pytest.mark.parametrize("seed", range(5))
async def test_every_request_has_one_outcome(rigs, seed):
    """Whatever its priority and timeout, whoever goes away, and however full the queue is."""
    chosen = random.Random(seed)
    limits = QueuePolicy(max_size=20, allow_override=True, delays=chosen.random() < 0.5)
    priorities = PriorityPolicy(3, 2, QueuePolicy(timeout_ns=SOON_NS), {1: limits, 3: limits})
    delay_ns = chosen.choice([0, 1000])
    rig = rigs(policy=BatchPolicy(4, True, delay_ns, priorities=priorities), instances=2)
    tasks = []
    for value in range(300):
        fields = {"priority": chosen.randrange(5), "timeout_us": chosen.choice([0, 1, 500])}
        tasks.append(rig.start(value, **fields))
        if chosen.random() < 0.1:
            await asyncio.sleep(0)
            chosen.choice(tasks[-20:]).cancel()
    await asyncio.sleep(0)
    await asyncio.wait_for(rig.scheduler.drain(), 10)
    await asyncio.wait(tasks, timeout=10)

    for value, task in enumerate(tasks):
        assert task.done()
        if not task.cancelled():
            failure = task.exception()
            assert failure is None or isinstance(failure, QueueFull | QueueTimeout)
            assert failure or task.result() == value + 1
    statistics = rig.statistics
    assert statistics.success.count + statistics.fail.count == len(tasks)
    assert statistics.pending == 0
    assert max(size for instance in rig.instances for size in instance.sizes) <= 4


class TestOrder:
    """Answers in the order the requests came, where the config asks for it."""

    async def held(self, rig, values):
        """Start requests on an instance each; return their tasks and the order of the answers."""
        order = []
        tasks = []
        for instance, value in zip(rig.instances, values, strict=True):
            instance.hold()
            tasks.append(rig.start(value))
            tasks[-1].add_done_callback(lambda _, value=value: order.append(value))
        for instance in rig.instances:
            await rig.started(instance)
        return tasks, order

    async def finish(self, rig, instance):
        """Let one instance end its execution and the loop see it."""
        before = rig.statistics.execution_count
        instance.open()
        await rig.until(lambda: rig.statistics.execution_count > before)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def test_a_later_answer_waits_for_the_earlier_one(self, rigs):
        """Though its instance was faster."""
        rig = rigs(policy=ORDERED, instances=2)
        tasks, order = await self.held(rig, [0, 1])
        await self.finish(rig, rig.instances[1])
        assert order == []
        await self.finish(rig, rig.instances[0])

        assert await asyncio.gather(*tasks) == [1, 2]
        assert order == [0, 1]

    async def test_otherwise_the_faster_instance_answers_first(self, rigs):
        """Nobody asked for an order."""
        rig = rigs(policy=BatchPolicy(1, False), instances=2)
        tasks, order = await self.held(rig, [0, 1])
        await self.finish(rig, rig.instances[1])
        assert order == [1]
        rig.instances[0].open()

        assert await asyncio.gather(*tasks) == [1, 2]

    async def test_a_failure_keeps_its_place(self, rigs):
        """Errors are answers."""
        rig = rigs(policy=ORDERED, instances=2)
        tasks, order = await self.held(rig, [0, 1])
        rig.instances[1].error = BackendError("no")
        rig.instances[1].open()
        for _ in range(100):
            await asyncio.sleep(0)
        assert order == []
        rig.instances[0].open()

        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert (answers[0], str(answers[1])) == (1, "no")
        await asyncio.sleep(0)
        assert order == [0, 1]

    async def test_a_client_that_went_away_holds_nobody_up(self, rigs):
        """Neither in the queue nor during its execution."""
        rig = rigs(policy=ORDERED, instances=2)
        tasks, _ = await self.held(rig, [0, 1])
        queued = rig.start(2)
        last = rig.start(3)
        await asyncio.sleep(0)
        queued.cancel()
        tasks[0].cancel()
        await asyncio.sleep(0)
        for instance in rig.instances:
            instance.open()

        assert await asyncio.wait_for(asyncio.gather(tasks[1], last), 10) == [2, 4]
        assert rig.statistics.failures["CANCELED"] == 2

    async def test_a_timeout_keeps_its_place(self, rigs):
        """Its work is not done, and its answer comes in its turn."""
        priorities = PriorityPolicy(default=QueuePolicy(allow_override=True))
        policy = BatchPolicy(1, False, priorities=priorities, preserves_order=True)
        rig = rigs(policy=policy)
        (task,), order = await self.held(rig, [0])
        late = rig.start(1, timeout_us=1000)
        late.add_done_callback(lambda _: order.append(1))
        await asyncio.sleep(0)
        await rig.until(lambda: rig.statistics.pending == 0)
        assert order == []
        rig.instance.open()

        answers = await asyncio.gather(task, late, return_exceptions=True)
        assert (answers[0], type(answers[1])) == (1, QueueTimeout)
        await asyncio.sleep(0)
        assert order == [0, 1]
        assert rig.instance.sizes == [1]
