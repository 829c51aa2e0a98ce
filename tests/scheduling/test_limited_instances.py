"""Models that share resources: who executes, who waits, and who is not held up."""

import asyncio

import pytest

from inferd._generated.inference import ModelSequenceBatching
from inferd.errors import LoadFailed
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.instances import InstancePool
from inferd.scheduling.limited_instances import LimitedPool, SharedResources, make_pool
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.rate_limiter import Claim, Limit, Resource
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

R, S = Resource("R", 0), Resource("S", 0)
SINGLE = BatchPolicy(1, False)
LONG_NS = 60_000_000_000


class Limited:
    """A model whose instances need resources; answers value + 1."""

    def __init__(self, make, shared, needs, policy, priority, lane):
        self.make = make
        self.instances = [make.instance() for _ in needs]
        claims = [Claim(need, priority) for need in needs]
        permits = shared.declare(claims, "m")
        statistics = ModelStatistics()
        assembler = Assembler(make.signature(), 1)
        if lane is None:
            self.scheduler = Scheduler(
                policy, assembler, self.instances, statistics, name="m", permits=permits
            )
            return
        batching = ModelSequenceBatching()
        self.scheduler = SequenceScheduler(
            SequenceTable("m", [lane() for _ in needs], LONG_NS),
            SequenceAssembler(
                assembler,
                SequenceControls.from_config("m", batching, batches=True),
                SequenceStates.from_config("m", batching, batches=True, read=bytes),
                model_name="m",
            ),
            self.instances,
            statistics,
            name="m",
            permits=permits,
        )

    async def infer(self, value, **more):
        """Return the first element of the answer."""
        response = await self.scheduler.infer(self.make.request(value, **more))
        return int(response.outputs[0].array()[0, 0])

    def start(self, value, **more):
        """Begin a request."""
        return asyncio.get_running_loop().create_task(self.infer(value, **more))

    async def started(self, index=0):
        """Wait until an instance has begun its next execution."""
        assert await asyncio.to_thread(self.instances[index].started.acquire, timeout=10)

    @property
    def executions(self):
        """How many executions have begun."""
        return sum(len(instance.sizes) for instance in self.instances)

    async def close(self):
        """Let everything go on, and free it."""
        for instance in self.instances:
            instance.open()
        if not self.instances[0].closed:
            await asyncio.wait_for(self.scheduler.close(), 10)


@pytest.fixture(name="shared")
def _shared():
    """Resources without stated limits."""
    return SharedResources()


@pytest.fixture(name="model")
async def _model(make, shared):
    """Make models that share the resources, held until they are released."""
    made = []

    def model(*needs, policy=SINGLE, priority=1, lane=None, held=True):
        one = Limited(make, shared, needs, policy, priority, lane)
        made.append(one)
        for instance in one.instances if held else ():
            instance.hold()
        return one

    yield model
    for one in made:
        for instance in one.instances:
            instance.open()
    for one in made:
        await one.close()
    assert not shared.limiter.waiting


async def turns(count=10):
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_two_models_never_execute_at_the_same_time(model):
    """The second begins when the first is done, though nobody asks it again."""
    first, second = model({R: 1}), model({R: 1})
    one = first.start(0)
    await first.started()
    other = second.start(5)
    await turns()
    assert second.executions == 0
    first.instances[0].release()

    assert await one == 1
    await second.started()
    second.instances[0].release()
    assert await other == 6


async def test_a_model_that_needs_nothing_scarce_goes_on(model):
    """While another waits."""
    holder, blocked, other = model({R: 1}), model({R: 1, S: 1}), model({S: 1}, held=False)
    tasks = [holder.start(0)]
    await holder.started()
    tasks.append(blocked.start(0))
    await turns()

    assert await asyncio.wait_for(other.infer(1), 10) == 2
    assert blocked.executions == 0
    for one in (holder, blocked):
        one.instances[0].open()
    assert await asyncio.gather(*tasks) == [1, 1]


async def test_an_instance_that_needs_nothing_is_used_when_the_others_wait(model):
    """Groups of one model may differ."""
    holder, mixed = model({R: 1}), model({R: 1}, {})
    holder.start(0)
    await holder.started()
    mixed.instances[1].open()

    assert await asyncio.wait_for(mixed.infer(1), 10) == 2
    assert [len(instance.sizes) for instance in mixed.instances] == [0, 1]


async def test_requests_that_wait_for_a_resource_become_one_batch(model):
    """What comes while a model waits joins."""
    holder, waiter = model({R: 1}), model({R: 1}, policy=BatchPolicy(4, True), held=False)
    holder.start(0)
    await holder.started()
    tasks = []
    for value in range(3):
        tasks.append(waiter.start(value))
        await turns(3)
    holder.instances[0].open()

    assert await asyncio.gather(*tasks) == [1, 2, 3]
    assert waiter.instances[0].sizes == [3]


async def test_a_cancelled_request_keeps_no_place(model):
    """The model behind gets the resources it would have got."""
    holder, impatient, patient = model({R: 1}), model({R: 2}), model({R: 1}, held=False)
    holder.start(0)
    await holder.started()
    cancelled = impatient.start(0)
    await turns()
    task = patient.start(1)
    await turns()
    assert patient.executions == 0
    cancelled.cancel()

    assert await asyncio.wait_for(task, 10) == 2
    assert impatient.executions == 0


@pytest.mark.parametrize("policy", [SINGLE, BatchPolicy(4, True, max_queue_delay_ns=LONG_NS)])
async def test_a_model_waits_only_for_what_it_has_requests_for(model, shared, policy):
    """Its request executes elsewhere, or waits for its delay: the resource is not for it."""
    holder, mixed = model({R: 1}), model({R: 1}, {S: 1}, {S: 1}, policy=policy)
    holder.start(0)
    await holder.started()
    task = mixed.start(0)
    await turns()

    assert not shared.limiter.waiting
    task.cancel()


async def test_a_batch_that_is_not_due_is_not_counted(model, shared):
    """It gets its resources, waits for its delay instead, and lets others use them."""
    delayed = model({R: 1}, policy=BatchPolicy(2, True, max_queue_delay_ns=LONG_NS), held=False)
    other = model({R: 1}, held=False)
    first = delayed.start(0)
    await turns()
    assert await asyncio.wait_for(other.infer(1), 10) == 2
    assert delayed.executions == 0
    second = delayed.start(1)

    assert await asyncio.wait_for(asyncio.gather(first, second), 10) == [1, 2]
    assert sorted(claim.weight for claim in shared._wakers) == [1, 1]


async def test_a_batch_that_is_not_due_when_its_turn_comes_passes_it_on(model):
    """The next in the order executes."""
    holder = model({R: 1})
    delayed = model({R: 1}, policy=BatchPolicy(2, True, max_queue_delay_ns=LONG_NS), held=False)
    other = model({R: 1}, held=False)
    holder.start(0)
    await holder.started()
    waiting = delayed.start(0)
    await turns()
    task = other.start(1)
    await turns()
    holder.instances[0].open()

    assert await asyncio.wait_for(task, 10) == 2
    assert delayed.executions == 0
    waiting.cancel()


async def test_a_busy_model_lets_the_others_have_their_turn(model):
    """A long queue does not keep the resource; chances follow the priorities."""
    order = []
    often, rarely = model({R: 1}, held=False), model({R: 1}, priority=2, held=False)
    for one, name in ((often, "a"), (rarely, "b")):
        execute = one.instances[0].execute

        def noted(batch, execute=execute, name=name):
            order.append(name)
            return execute(batch)

        one.instances[0].execute = noted
    tasks = [one.start(0) for one in (often, rarely) for _ in range(30)]
    await asyncio.gather(*tasks)

    assert 19 <= order[:30].count("a") <= 21
    assert len(order) == 60


async def test_instances_of_one_model_share_what_there_is(make):
    """A stated limit lets two of three execute."""
    shared = SharedResources([Limit("R", 2)])
    one = Limited(make, shared, [{R: 1}] * 3, SINGLE, 1, None)
    for instance in one.instances:
        instance.hold()
    tasks = [one.start(value) for value in range(3)]
    await one.started(0)
    await one.started(1)
    await turns()
    assert one.executions == 2
    for instance in one.instances:
        instance.open()

    assert await asyncio.gather(*tasks) == [1, 2, 3]
    await one.close()


async def test_an_unloaded_model_frees_its_place(model, shared):
    """After its last execution; nothing of it is remembered."""
    first, second = model({R: 2}), model({R: 1}, held=False)
    task = first.start(0)
    await first.started()
    closing = asyncio.get_running_loop().create_task(first.close())

    assert await task == 1
    await closing
    assert await asyncio.wait_for(second.infer(1), 10) == 2
    assert len(shared._declared) == len(shared._wakers) == 1


async def test_a_sequence_waits_for_the_resources_of_its_instance(model):
    """And has them when the other model is done."""
    holder = model({R: 1})
    sequences = model({R: 1}, {}, lane=lambda: DirectLane(1), held=False)
    holder.start(0)
    await holder.started()
    first = sequences.start(1, sequence_id=1, sequence_start=True)
    await turns()
    second = sequences.start(2, sequence_id=2, sequence_start=True)

    assert await asyncio.wait_for(second, 10) == 3
    assert not first.done()
    holder.instances[0].open()
    assert await asyncio.wait_for(first, 10) == 2


async def test_a_cancelled_sequence_request_keeps_no_place(model, shared):
    """The lane has nothing to execute."""
    holder, sequences = model({R: 1}), model({R: 1}, lane=lambda: DirectLane(1))
    holder.start(0)
    await holder.started()
    task = sequences.start(1, sequence_id=1, sequence_start=True)
    await turns()
    assert len(shared.limiter.waiting) == 1
    task.cancel()
    await turns()

    assert not shared.limiter.waiting


async def test_a_sequence_batch_that_is_not_due_lets_others_go_on(model):
    """It waits for its delay with nothing in hand."""
    sequences = model({R: 1}, lane=lambda: DirectLane(2, LONG_NS, 1.0), held=False)
    other = model({R: 1}, held=False)
    task = sequences.start(1, sequence_id=1, sequence_start=True)
    await turns()

    assert await asyncio.wait_for(other.infer(1), 10) == 2
    assert sequences.executions == 0
    task.cancel()
    await turns()


async def test_sequences_take_turns_by_priority(model):
    """Who has just executed competes with those that wait for what it gives back."""
    often, rarely = (
        model({R: 1}, priority=number, lane=lambda: DirectLane(1)) for number in (1, 2)
    )
    tasks = [
        one.start(step, sequence_id=1, sequence_start=step == 0)
        for one in (often, rarely)
        for step in range(6)
    ]
    for count in range(1, 7):
        running = await executing([often, rarely], count)
        running.instances[0].release()

    assert (often.executions, rarely.executions) == (4, 2)
    for one in (often, rarely):
        one.instances[0].open()
    await asyncio.gather(*tasks)


async def executing(models, count):
    """Wait until so many executions have begun in all; return the model of the last one."""
    before = [one.executions for one in models]
    async with asyncio.timeout(10):
        while sum(one.executions for one in models) < count:  # noqa: ASYNC110 - plain counters
            await asyncio.sleep(0)
    return next(one for one, old in zip(models, before, strict=True) if one.executions > old)


def test_what_cannot_be_had_is_refused_with_the_model_named():
    """Before anything is loaded; a failed load leaves nothing behind."""
    shared = SharedResources([Limit("R", 1)])
    with pytest.raises(LoadFailed, match=r'"R" is limited to 1 .* is 2 \(model \'m\'\)'):
        shared.declare([Claim({R: 2})], "m")
    with pytest.raises(LoadFailed, match="both global and device-specific"):
        shared.declare([Claim({R: 1}), Claim({Resource("R"): 1})], "m")
    permits = shared.declare([Claim({S: 1})], "m")
    with pytest.raises(LoadFailed, match="both global and device-specific"):
        shared.declare([Claim({Resource("S"): 1})], "n")
    permits.retract()
    shared.declare([Claim({Resource("S"): 1})], "n")


async def test_only_versions_that_need_something_are_limited(make, shared):
    """The others have the pool that asks nobody."""
    permits = shared.declare([Claim({R: 1})], "m")
    plain = make_pool([make.instance()], ModelStatistics(), name="m", permits=None, wake=list)
    limited = make_pool([make.instance()], ModelStatistics(), name="m", permits=permits, wake=list)

    assert type(plain) is InstancePool
    assert type(limited) is LimitedPool
    for pool in (plain, limited):
        await pool.close()
