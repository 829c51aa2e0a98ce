"""Ensembles over hand-written step models that are released by hand."""

import asyncio
import random

import numpy as np
import pytest

from inferd._generated import inference as pb
from inferd.errors import BackendError, NotFound, QueueFull, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.ensemble import EnsemblePlan
from inferd.scheduling.ensemble_scheduler import EnsembleScheduler
from inferd.scheduling.holds import Holds
from inferd.scheduling.snapshot import EnsembleStep
from inferd.scheduling.statistics import ModelStatistics


class Adder:
    """A step model that adds its inputs and one, when its gate is open."""

    def __init__(self, name, inputs=("X",), batch=4):
        self.holds = Holds()
        self.decoupled = False
        self.signature = Signature(name, batch, [spec(one) for one in inputs], [spec("Y")])
        self.scheduler = self
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()
        self.cancelled = 0
        self.error = None
        self.leaves_out = False
        self.requests = []

    async def infer(self, request):
        """Answer, fail or wait."""
        self.requests.append(request)
        self.started.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        total = sum(tensor.array() for tensor in request.inputs.values()) + 1
        made = [] if self.leaves_out else [Tensor("Y", "INT32", total.shape, array=total)]
        return InferResponse(request.model_name, "1", made, id=request.id)


def spec(name):
    """Return a vector of two."""
    return TensorSpec(name, "INT32", 4, (2,))


DIAMOND = (
    ("a", {"X": "I"}, {"Y": "t"}),
    ("b", {"X": "t"}, {"Y": "left"}),
    ("c", {"X": "t"}, {"Y": "right"}),
    ("d", {"L": "left", "R": "right"}, {"Y": "O"}),
)
CHAIN = (("a", {"X": "I"}, {"Y": "t"}), ("b", {"X": "t"}, {"Y": "O"}))


class Rig:
    """An ensemble, its models and its statistics."""

    def __init__(self, steps):
        self.models = {name: Adder(name, tuple(reads)) for name, reads, _ in steps}
        self.statistics = ModelStatistics()
        config = pb.ModelConfig(
            ensemble_scheduling=pb.ModelEnsembling(
                step=[
                    pb.ModelEnsemblingStep(
                        model_name=name, model_version=-1, input_map=reads, output_map=writes
                    )
                    for name, reads, writes in steps
                ]
            )
        )
        signature = Signature("e", 4, [spec("I")], [spec("O")])
        plan = EnsemblePlan.from_config(config, signature)
        self.scheduler = EnsembleScheduler(plan, 7, self.find, self.statistics)

    def find(self, name, version):
        """Look a model up."""
        assert version == ""
        if name not in self.models:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        return self.models[name]

    def ask(self, value=1, **more):
        """Send a request; return its task."""
        array = np.full((1, 2), value, "<i4")
        request = InferRequest("e", {"I": Tensor("I", "INT32", (1, 2), array=array)}, **more)
        return asyncio.get_running_loop().create_task(self.scheduler.infer(request))

    def holds(self):
        """Return how often each model is held."""
        return {model.holds.count for model in self.models.values()}


async def test_a_chain_answers():
    """With the ensemble's own name and version."""
    rig = Rig(CHAIN)
    answer = await rig.ask(5, id="x")

    assert (answer.model_name, answer.model_version, answer.id) == ("e", "7", "x")
    assert [(t.name, t.array().tolist()) for t in answer.outputs] == [("O", [[7, 7]])]
    assert rig.holds() == {0}


async def test_branches_run_at_the_same_time():
    """And the join has both results."""
    rig = Rig(DIAMOND)
    rig.models["b"].gate.clear()
    rig.models["c"].gate.clear()
    task = rig.ask(0)
    await rig.models["b"].started.wait()
    await rig.models["c"].started.wait()
    assert rig.scheduler.inflight == 1
    assert rig.holds() == {1}
    rig.models["c"].gate.set()
    rig.models["b"].gate.set()

    assert (await task).outputs[0].array().tolist() == [[5, 5]]
    assert (rig.scheduler.inflight, rig.holds()) == (0, {0})


async def test_steps_get_what_the_request_says():
    """Parameters, sequence, priority, times and id; and only the outputs the map names."""
    rig = Rig(CHAIN)
    said = {
        "id": "7",
        "parameters": {"k": "v"},
        "sequence_id": "s",
        "sequence_start": True,
        "sequence_end": True,
        "priority": 2,
        "timeout_us": 9,
        "deadline_ns": 2**62,
    }
    await rig.ask(**said)

    for model in rig.models.values():
        (request,) = model.requests
        assert {key: getattr(request, key) for key in said} == said
        assert [output.name for output in request.outputs] == ["Y"]
        assert request.received_ns


@pytest.mark.parametrize("steps", [CHAIN, DIAMOND])
async def test_an_error_keeps_its_class_and_names_the_ensemble_and_the_step(steps):
    """Clients see the status the step's model would have given."""
    rig = Rig(steps)
    for error in (BackendError("out of memory"), QueueFull("full")):
        rig.models["b"].error = error
        with pytest.raises(type(error)) as raised:
            await rig.ask()
        assert str(raised.value) == f"in ensemble 'e', {error.message} (step 'b')"

    assert rig.statistics.failures["BACKEND"] == 1
    assert rig.statistics.failures["REJECTED"] == 1
    assert (rig.scheduler.inflight, rig.holds()) == (0, {0})


async def test_a_failing_branch_cancels_the_other():
    """Its work is of no use any more."""
    rig = Rig(DIAMOND)
    rig.models["c"].gate.clear()
    rig.models["b"].error = BackendError("no")
    with pytest.raises(BackendError):
        await rig.ask()

    assert rig.models["c"].cancelled == 1
    assert rig.models["d"].requests == []


async def test_an_unforeseen_error_stays_what_it_is():
    """The frontends hide its text; it is counted."""
    rig = Rig(CHAIN)
    rig.models["a"].error = ValueError("bug")
    with pytest.raises(ValueError, match="bug"):
        await rig.ask()

    assert rig.statistics.failures["OTHER"] == 1


async def test_a_step_that_does_not_serve_is_told_before_anything_runs():
    """With the words of a request to the model itself."""
    rig = Rig(CHAIN)
    del rig.models["b"]
    with pytest.raises(NotFound, match="in ensemble 'e', Request for unknown model: 'b' is not f"):
        await rig.ask()

    assert rig.models["a"].requests == []
    assert rig.holds() == {0}


async def test_an_inner_ensemble_whose_model_does_not_serve():
    """Both ensembles are named, and nothing stays held."""
    inner, outer = Rig(CHAIN), Rig((CHAIN[0], ("b", {"I": "t"}, {"O": "O"})))
    outer.models["b"].signature = Signature("e", 4, [spec("I")], [spec("O")])
    outer.models["b"].scheduler = inner.scheduler
    assert (await outer.ask(5)).outputs[0].array().tolist() == [[8, 8]]
    del inner.models["b"]
    with pytest.raises(NotFound, match=r"^in ensemble 'e', in ensemble 'e', Request for unknown"):
        await outer.ask()

    assert outer.models["a"].requests[1:] == []
    assert inner.holds() | outer.holds() == {0}


async def test_an_output_that_was_left_out_is_a_deadlock():
    """The text is the reference's."""
    rig = Rig(CHAIN)
    rig.models["a"].leaves_out = True
    with pytest.raises(Exception, match=r"^in ensemble 'e', unexpected deadlock, at least one out"):
        await rig.ask()


@pytest.mark.parametrize("steps", [CHAIN, DIAMOND])
async def test_cancelling_the_request_cancels_the_steps_that_run(steps):
    """Nothing is left behind."""
    rig = Rig(steps)
    rig.models["b"].gate.clear()
    task = rig.ask()
    await rig.models["b"].started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert rig.models["b"].cancelled == 1
    assert rig.statistics.failures["CANCELED"] == 1
    assert (rig.scheduler.inflight, rig.holds()) == (0, {0})


@pytest.mark.parametrize("seed", range(5))
async def test_every_request_has_one_outcome_whatever_clients_and_steps_do(seed):
    """Cancelled at any moment, failing at any step; nothing stays behind."""
    rig, chance = Rig(DIAMOND), random.Random(seed)
    tasks = []
    for value in range(200):
        tasks.append(rig.ask(value))
        model = rig.models[chance.choice("abcd")]
        model.error = BackendError("no") if chance.random() < 0.1 else None
        gate = rig.models[chance.choice("abcd")].gate
        gate.clear() if chance.random() < 0.3 else gate.set()
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    for model in rig.models.values():
        model.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    good = [(v, one) for v, one in enumerate(results) if isinstance(one, InferResponse)]
    assert good
    for value, one in good:
        assert one.outputs[0].array().tolist() == [[2 * value + 5] * 2]
    assert all(
        isinstance(one, InferResponse | BackendError | asyncio.CancelledError) for one in results
    )
    assert rig.statistics.success.count == len(good)
    assert (rig.scheduler.inflight, rig.holds()) == (0, {0})


async def test_closing_waits_for_the_requests_and_refuses_new_ones():
    """What was accepted is answered."""
    rig = Rig(CHAIN)
    rig.models["b"].gate.clear()
    task = rig.ask()
    await rig.models["b"].started.wait()
    closing = asyncio.get_running_loop().create_task(rig.scheduler.close())
    await asyncio.sleep(0)
    assert not closing.done()
    with pytest.raises(ShuttingDown, match=r"^Server is stopping, scheduler for model has stopped"):
        await rig.ask()
    rig.models["b"].gate.set()

    await closing
    await task


async def test_an_ensemble_counts_its_own_requests():
    """As executions of their rows; waiting is the models' affair."""
    rig = Rig(CHAIN)
    await rig.ask()
    await rig.ask(received_ns=1)

    statistics = rig.statistics
    assert (statistics.success.count, statistics.execution_count) == (2, 2)
    assert statistics.inference_count == 2
    assert statistics.success.ns > statistics.compute_infer.ns > 0
    assert (statistics.queue.ns, statistics.pending, statistics.fail.count) == (0, 0, 0)
    assert statistics.last_inference_ms


async def test_requests_are_shown_in_the_steps_they_are_in():
    """Several at once where steps run beside each other; none afterwards, also of failures."""
    rig = Rig(DIAMOND)
    for model in "bc":
        rig.models[model].gate.clear()
    tasks = [rig.ask(), rig.ask()]
    await asyncio.gather(*(rig.models[model].started.wait() for model in "bc"))
    found = rig.scheduler.snapshot()

    assert found.inflight == 2
    assert found.steps == [EnsembleStep(*step) for step in (("a", 0), ("b", 2), ("c", 2), ("d", 0))]
    assert (found.batches, found.levels, found.instances) == (None, (), ())
    tasks[0].cancel()
    rig.models["b"].error = BackendError("no")
    rig.models["b"].gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    after = rig.scheduler.snapshot()
    assert (after.inflight, [step.requests for step in after.steps]) == (0, [0, 0, 0, 0])
