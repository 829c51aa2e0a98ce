"""Ensembles with decoupled models over step models that are driven by hand."""

import asyncio
import random
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd._generated import inference as pb
from inferd.errors import BackendError, InferdError, ModelNotReady, NotFound, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.ensemble import EnsemblePlan
from inferd.scheduling.ensemble_scheduler import EnsembleScheduler
from inferd.scheduling.holds import Holds
from inferd.scheduling.replies import ROOM, Reply
from inferd.scheduling.statistics import ModelStatistics

END = Reply(None, final=True)


def spec(name):
    """Return one number."""
    return TensorSpec(name, "INT32", 4, (1,))


def tensor(name, value):
    """Return one number's tensor."""
    return Tensor(name, "INT32", (1,), array=np.array([value], "<i4"))


def value_of(request_or_response):
    """Return the sum of a request's inputs, or a response's output."""
    found = getattr(request_or_response, "inputs", None)
    tensors = request_or_response.outputs if found is None else found.values()
    return sum(int(one.array()[0]) for one in tensors)


async def turn(times=30):
    """Let everything that can go on do so."""
    for _ in range(times):
        await asyncio.sleep(0)


class Source:
    """Replies that a test puts in."""

    def __init__(self, request):
        self.request = request
        self.taken = self.closed = 0
        self._replies = deque()
        self._changed = asyncio.Event()

    def put(self, *replies):
        """Add replies: numbers are responses, an empty tuple is one without outputs."""
        for reply in replies:
            if isinstance(reply, int):
                reply = Reply(InferResponse("d", "1", [tensor("Y", reply)]), final=False)
            elif reply == ():
                reply = Reply(InferResponse("d", "1", []), final=False)
            elif isinstance(reply, InferdError):
                reply = Reply(reply, final=True)
            self._replies.append(reply)
        self._changed.set()

    async def receive(self):
        """Return the next reply."""
        while not self._replies:
            self._changed.clear()
            await self._changed.wait()
        self.taken += 1
        return self._replies.popleft()

    def close(self):
        """Count the calls."""
        self.closed += 1


class StepModel:
    """
    The model of a step.

    A decoupled one has a source per request, filled by ``script`` where there is one; any
    other adds one to the sum of its inputs, once the gate of that sum is open.
    """

    def __init__(self, name, inputs, decoupled):
        self.name = name
        self.decoupled = decoupled
        self.holds = Holds()
        self.signature = Signature(name, 0, [spec(one) for one in inputs], [spec("Y")])
        self.scheduler = self
        self.sources = []
        self.script = None
        self.gates = {}
        self.errors = {}
        self.answers = {}
        self.running = self.cancelled = self.most = 0

    def stream(self, request):
        """Begin a request of a decoupled model."""
        self.sources.append(Source(request))
        if self.script is not None:
            self.sources[-1].put(*self.script(value_of(request)))
        return self.sources[-1]

    async def infer(self, request):
        """Answer, fail or wait."""
        value = value_of(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if value in self.gates:
                await self.gates[value].wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if value in self.errors:
            raise self.errors[value]
        return InferResponse(self.name, "1", self.answers.get(value, [tensor("Y", value + 1)]))

    def hold(self, *values):
        """Make requests of these sums wait; return what lets each go on."""
        self.gates.update({value: asyncio.Event() for value in values})
        return [self.gates[value].set for value in values]


ALONE = (("d", {"X": "I"}, {"Y": "O"}),)
CHAIN = (("d", {"X": "I"}, {"Y": "t"}), ("b", {"X": "t"}, {"Y": "O"}))
TWO = (*CHAIN[:1], ("d2", {"X": "t"}, {"Y": "O"}))


class Rig:
    """An ensemble; models whose name begins with d are decoupled."""

    def __init__(self, steps=CHAIN, max_in_flight=0, name="e"):
        self.models = {
            model: StepModel(model, tuple(reads), model[0] == "d") for model, reads, _ in steps
        }
        self.statistics = ModelStatistics()
        made = [
            pb.ModelEnsemblingStep(
                model_name=model, model_version=-1, input_map=reads, output_map=writes
            )
            for model, reads, writes in steps
        ]
        config = pb.ModelConfig(
            ensemble_scheduling=pb.ModelEnsembling(step=made, max_inflight_requests=max_in_flight)
        )
        self.signature = Signature(name, 0, [spec("I")], [spec("O")])
        self.scheduler = EnsembleScheduler(
            EnsemblePlan.from_config(config, self.signature), 7, self.find, self.statistics
        )

    def find(self, name, version):
        """Look a model up."""
        if name not in self.models:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        return self.models[name]

    def ask(self, value=1):
        """Send a request; return its replies."""
        return self.scheduler.stream(InferRequest("e", {"I": tensor("I", value)}, id="x"))

    async def asked(self, value=1):
        """Send a request; return its replies and the source of its decoupled step ``d``."""
        replies = self.ask(value)
        await turn()
        return replies, self.models["d"].sources[-1]

    def nest(self, model, inner):
        """Make another rig's ensemble the model of a step."""
        step = self.models[model]
        step.signature, step.scheduler, step.decoupled = inner.signature, inner.scheduler, True

    def at_rest(self):
        """Whether no trace of a request is left."""
        return (
            self.scheduler.inflight == 0
            and not any(self.scheduler.in_steps)
            and not any(model.holds.count or model.running for model in self.models.values())
            and all(one.closed for model in self.models.values() for one in model.sources)
        )


async def collect(replies):
    """Return the values of all responses, and the error if one ends them."""
    values = []
    async with asyncio.timeout(10):
        while True:
            answer, final = await replies.receive()
            if isinstance(answer, InferResponse):
                assert not final
                values.append(value_of(answer))
            elif final:
                return values, answer


async def test_every_response_goes_through_the_steps_behind():
    """As responses of the ensemble; the end comes by itself, once."""
    rig = Rig()
    replies, source = await rig.asked()
    source.put(10, 20, END)
    (first, first_is_final), (second, second_is_final) = (
        await replies.receive(),
        await replies.receive(),
    )

    assert (value_of(first), value_of(second)) == (11, 21)
    assert [first_is_final, second_is_final] == [False, False]
    assert (first.model_name, first.model_version, first.id) == ("e", "7", "x")
    assert await replies.receive() == END
    replies.close()
    await turn()
    assert rig.at_rest()
    assert (rig.statistics.success.count, rig.statistics.fail.count) == (1, 0)


async def test_a_request_may_have_no_response_at_all():
    """There is the end to tell."""
    rig = Rig()
    rig.models["d"].script = lambda _: [END]

    assert await collect(rig.ask()) == ([], None)
    await turn()
    assert rig.at_rest()
    assert rig.statistics.success.count == 1


async def test_a_response_without_outputs_gives_none():
    """No step behind is asked for it; the last one may have outputs and be the end."""
    rig = Rig()
    last = Reply(InferResponse("d", "1", [tensor("Y", 5)]), final=True)
    rig.models["d"].script = lambda _: [(), 3, (), Reply(None, final=False), last]

    assert await collect(rig.ask()) == ([4, 6], None)


async def test_responses_keep_their_order_although_later_ones_are_ready_first():
    """They wait for those before them."""
    rig = Rig()
    go_on = rig.models["b"].hold(1, 2, 3)
    replies, source = await rig.asked()
    source.put(1, 2, 3, END)
    await turn()
    assert rig.models["b"].running == 3
    go_on[2]()
    go_on[1]()
    await turn()
    receiving = asyncio.ensure_future(replies.receive())
    await turn()
    assert not receiving.done()
    go_on[0]()

    assert value_of((await receiving).answer) == 2
    assert await collect(replies) == ([3, 4], None)


async def test_a_response_that_comes_to_nothing_keeps_the_order_too():
    """The third waits for the first, though the second has nothing to emit."""
    rig = Rig(
        (
            CHAIN[0],
            ("b", {"X": "t"}, {"Y": "u"}),
            ("d2", {"X": "u"}, {"Y": "O"}),
        )
    )
    rig.models["d2"].script = lambda value: [END] if value == 3 else [value, END]
    (go_on,) = rig.models["b"].hold(1)
    replies, source = await rig.asked()
    source.put(1, 2, 3, END)
    await turn()
    receiving = asyncio.ensure_future(replies.receive())
    await turn()
    assert not receiving.done()
    go_on()

    assert value_of((await receiving).answer) == 2
    assert await collect(replies) == ([4], None)


@pytest.mark.parametrize(("max_in_flight", "bound"), [(0, 16), (1, 1), (3, 3)])
async def test_only_so_many_responses_are_on_their_way(max_in_flight, bound):
    """The next one is not even taken, so that the step's model waits."""
    rig, values = Rig(max_in_flight=max_in_flight), range(100, 140)
    go_on = rig.models["b"].hold(*values)
    replies, source = await rig.asked()
    source.put(*values, END)
    await turn()
    assert (rig.models["b"].running, source.taken) == (bound, bound)
    go_on[0]()
    await turn()
    assert (rig.models["b"].running, source.taken) == (bound, bound + 1)
    for one in go_on:
        one()

    assert await collect(replies) == ([value + 1 for value in values], None)
    assert rig.models["b"].most == bound


async def test_a_response_that_waits_for_its_turn_is_on_its_way():
    """Finished or not, it takes up memory."""
    rig = Rig(max_in_flight=2)
    go_on = rig.models["b"].hold(1)
    replies, source = await rig.asked()
    source.put(1, 2, 3, END)
    await turn()
    assert (rig.models["b"].running, source.taken) == (1, 2)
    go_on[0]()

    assert await collect(replies) == ([2, 3, 4], None)


async def test_a_client_that_takes_nothing_stops_the_step():
    """What was made and not taken is bounded."""
    rig = Rig(max_in_flight=2)
    replies, source = await rig.asked()
    source.put(*range(100))
    await turn(200)
    assert source.taken == ROOM + 2
    await replies.receive()
    await turn()
    assert source.taken == ROOM + 3
    replies.close()
    await turn()
    assert rig.at_rest()


async def test_an_error_of_the_decoupled_step_comes_after_its_responses():
    """It names the ensemble and keeps its class; nothing after it is taken."""
    rig = Rig()
    (go_on,) = rig.models["b"].hold(1)
    replies, source = await rig.asked()
    source.put(1, 2, BackendError("out of memory"), 3)
    await turn()
    go_on()
    values, error = await collect(replies)

    assert values == [2, 3]
    assert type(error) is BackendError
    assert error.message == "in ensemble 'e', out of memory"
    assert source.taken == 3
    await turn()
    assert rig.at_rest()
    assert rig.statistics.failures["BACKEND"] == 1


async def test_an_error_that_was_not_the_steps_last_word_ends_the_request():
    """And the step is told that nobody waits any more."""
    rig = Rig()
    replies, source = await rig.asked()
    source.put(Reply(BackendError("no"), final=False))

    assert (await collect(replies))[1].message == "in ensemble 'e', no"
    await turn()
    assert source.closed == 1


async def test_an_error_behind_the_decoupled_step_cancels_the_rest():
    """The other responses on their way, and the step itself."""
    rig = Rig()
    rig.models["b"].hold(1, 3)
    rig.models["b"].errors[2] = BackendError("no")
    replies, source = await rig.asked()
    source.put(1, 3, 2)
    values, error = await collect(replies)

    assert (values, error.message) == ([], "in ensemble 'e', no")
    assert rig.models["b"].cancelled == 2
    await turn()
    assert rig.at_rest()
    assert rig.statistics.failures["BACKEND"] == 1


async def test_an_error_behind_does_not_take_back_what_was_emitted():
    """The client has it already."""
    rig = Rig()
    rig.models["b"].errors[2] = BackendError("no")
    replies, source = await rig.asked()
    source.put(1)
    await turn()
    source.put(2)

    values, error = await collect(replies)
    assert (values, error.message) == ([2], "in ensemble 'e', no")


async def test_a_failing_branch_beside_the_decoupled_step_closes_it():
    """Whichever of them began first."""
    for order in (1, -1):
        steps = (
            ("d", {"X": "I"}, {"Y": "t"}),
            ("a", {"X": "I"}, {"Y": "side"}),
            ("b", {"L": "t", "R": "side"}, {"Y": "O"}),
        )
        rig = Rig(steps[::order])
        rig.models["a"].errors[1] = BackendError("no")
        assert (await collect(rig.ask()))[1].message == "in ensemble 'e', no"
        await turn()
        assert rig.at_rest()


async def test_what_a_step_beside_made_is_used_for_every_response():
    """It runs once, and before the responses are taken."""
    rig = Rig(
        (
            ("a", {"X": "I"}, {"Y": "side"}),
            ("d", {"X": "I"}, {"Y": "t"}),
            ("b", {"L": "t", "R": "side"}, {"Y": "O"}),
        )
    )
    (go_on,) = rig.models["a"].hold(1)
    replies, source = await rig.asked(1)
    source.put(10, 20, END)
    await turn()
    assert source.taken == 0
    go_on()

    assert await collect(replies) == ([13, 23], None)
    assert rig.models["a"].most == 1


async def test_steps_behind_may_branch_and_join():
    """For each response by itself."""
    rig = Rig(
        (
            ("d", {"X": "I"}, {"Y": "t"}),
            ("b", {"X": "t"}, {"Y": "left"}),
            ("c", {"X": "t"}, {"Y": "right"}),
            ("f", {"L": "left", "R": "right"}, {"Y": "O"}),
        )
    )
    rig.models["d"].script = lambda _: [10, 20, END]

    assert await collect(rig.ask()) == ([23, 43], None)


async def test_steps_before_the_decoupled_one_run_first():
    """Once per request."""
    rig = Rig((("a", {"X": "I"}, {"Y": "t"}), ("d", {"X": "t"}, {"Y": "O"})))
    rig.models["d"].script = lambda value: [value, value, END]

    assert await collect(rig.ask(5)) == ([6, 6], None)


async def test_a_client_that_leaves_takes_everything_back():
    """Steps that run, the source, the holds; it counts as cancelled."""
    rig = Rig()
    rig.models["b"].hold(1, 2)
    replies, source = await rig.asked()
    source.put(1, 2)
    await turn()
    assert rig.scheduler.in_steps == [1, 2]
    assert [model.holds.count for model in rig.models.values()] == [1, 1]
    snapshot = rig.scheduler.snapshot()
    assert (snapshot.inflight, [one.requests for one in snapshot.steps]) == (1, [1, 2])
    replies.close()
    await turn()

    assert rig.models["b"].cancelled == 2
    assert source.closed == 1
    assert rig.at_rest()
    assert rig.statistics.failures["CANCELED"] == 1
    assert rig.statistics.success.count == 0


async def test_a_client_may_leave_before_anything_ran():
    """No step is asked."""
    rig = Rig()
    rig.ask().close()
    await turn()

    assert rig.models["d"].sources == []
    assert rig.at_rest()
    assert rig.statistics.failures["CANCELED"] == 1


async def test_a_client_that_leaves_while_the_replies_wait_for_room():
    """Also in the moment a step fails: nobody waits for the room any more."""
    for fails in (False, True):
        rig = Rig()
        rig.models["b"].errors[99] = BackendError("no")
        (go_on,) = rig.models["b"].hold(99)
        replies, source = await rig.asked()
        source.put(*range(ROOM + 1), 99)
        await turn(200)
        if fails:
            go_on()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        replies.close()
        await turn()
        assert rig.at_rest()


@pytest.mark.parametrize("turns", range(8))
async def test_leaving_at_any_moment_of_a_failure_ends_the_request(turns):
    """Though its error found no room: it must not wait for a client that is gone."""
    rig = Rig(max_in_flight=1)
    rig.models["b"].errors[99] = BackendError("no")
    (go_on,) = rig.models["b"].hold(99)
    replies, source = await rig.asked()
    source.put(*range(ROOM), 99)
    await turn(200)
    go_on()
    await turn(turns)
    replies.close()
    await turn()

    assert rig.at_rest()
    assert rig.statistics.fail.count == 1


async def test_closing_after_the_end_changes_nothing():
    """It counts as answered."""
    rig = Rig(ALONE)
    rig.models["d"].script = lambda _: [1, END]
    replies = rig.ask()
    assert await collect(replies) == ([1], None)
    replies.close()
    await turn()

    assert rig.statistics.failures == {**rig.statistics.failures, "CANCELED": 0}
    assert rig.statistics.success.count == 1


async def test_an_unforeseen_exception_is_told_as_an_internal_error(caplog):
    """Its text goes to the log."""
    rig = Rig()
    rig.models["b"].errors[1] = ValueError("a bug")
    rig.models["d"].script = lambda _: [1]
    values, error = await collect(rig.ask())

    assert (values, error.message) == ([], "in ensemble 'e', internal error")
    assert type(error) is BackendError
    assert "a bug" in caplog.text
    await turn()
    assert rig.at_rest()


async def test_an_output_that_was_left_out_is_a_deadlock():
    """For the response that lacks it."""
    rig = Rig()
    rig.models["b"].answers[2] = []
    replies, source = await rig.asked()
    source.put(1)
    await turn()
    source.put(2)

    values, error = await collect(replies)
    assert values == [2]
    assert error.message.startswith("in ensemble 'e', unexpected deadlock, at least one output")


async def test_a_model_that_does_not_serve_is_told_at_once():
    """Nothing runs, nothing stays held, and it counts as failed."""
    rig = Rig()
    del rig.models["b"]
    with pytest.raises(NotFound, match=r"^in ensemble 'e', Request for unknown model: 'b' is not"):
        rig.ask()

    assert rig.models["d"].sources == []
    assert rig.at_rest()
    assert rig.statistics.fail.count == 1


async def test_a_step_that_refuses_a_response_ends_the_request():
    """With the step's own words."""
    rig = Rig()
    wide = Tensor("Y", "INT32", (2,), array=np.zeros(2, "<i4"))
    rig.models["d"].script = lambda _: [Reply(InferResponse("d", "1", [wide]), final=False)]
    _, error = await collect(rig.ask())

    assert error.message.startswith("in ensemble 'e', [request id: x] unexpected shape for input")


async def test_a_decoupled_step_that_was_loaded_as_an_ordinary_one_answers_once():
    """The ensemble stays what it is."""
    rig = Rig()
    rig.models["d"].decoupled = False

    assert await collect(rig.ask(1)) == ([3], None)
    await turn()
    assert rig.at_rest()


async def test_an_ordinary_ensemble_whose_step_became_decoupled_says_so():
    """Until it is loaded again."""
    rig = Rig()
    with pytest.raises(ModelNotReady, match=r"^in ensemble 'e', model 'd' was loaded again and is"):
        await rig.scheduler.infer(InferRequest("e", {"I": tensor("I", 1)}))

    assert rig.models["d"].sources == []
    assert rig.at_rest()


async def test_unloading_waits_for_a_request_that_streams():
    """New ones are refused."""
    rig = Rig()
    replies, source = await rig.asked()
    source.put(1)
    closing = asyncio.ensure_future(rig.scheduler.close())
    await turn()
    assert not closing.done()
    with pytest.raises(ShuttingDown):
        rig.ask()
    source.put(2, END)

    assert await collect(replies) == ([2, 3], None)
    await asyncio.wait_for(closing, 10)
    assert rig.at_rest()


class TestNested:
    """An ensemble with decoupled models that is a step of another."""

    def rigs(self):
        """Inner: two decoupled steps. Outer: a decoupled step, the inner one, an ordinary one."""
        inner = Rig(TWO, name="inner")
        outer = Rig(
            (
                ("d", {"X": "I"}, {"Y": "t"}),
                ("n", {"I": "t"}, {"O": "u"}),
                ("b", {"X": "u"}, {"Y": "O"}),
            )
        )
        outer.nest("n", inner)
        return outer, inner

    async def test_responses_of_all_levels_come_in_order(self):
        """Those of the first before those of the second, at every level."""
        outer, inner = self.rigs()
        outer.models["d"].script = lambda _: [100, 200, END]
        inner.models["d"].script = lambda value: [value + 10, value + 20, END]
        inner.models["d2"].script = lambda value: [value + 1, value + 2, END]

        assert await collect(outer.ask()) == (
            [a + b + c + 1 for a in (100, 200) for b in (10, 20) for c in (1, 2)],
            None,
        )
        await turn()
        assert outer.at_rest()
        assert inner.at_rest()
        assert (outer.statistics.success.count, inner.statistics.success.count) == (1, 2)

    async def test_an_error_inside_names_both(self):
        """From the outside in."""
        outer, inner = self.rigs()
        outer.models["d"].script = lambda _: [1, END]
        inner.models["d"].script = lambda _: [BackendError("no")]
        _, error = await collect(outer.ask())

        assert error.message == "in ensemble 'e', in ensemble 'inner', no"
        await turn()
        assert outer.at_rest()
        assert inner.at_rest()
        assert inner.statistics.failures["BACKEND"] == 1

    async def test_a_client_that_leaves_takes_the_inner_requests_back(self):
        """They count as cancelled, and nothing is held."""
        outer, inner = self.rigs()
        outer.models["d"].script = lambda _: [1, 2]
        replies = outer.ask()
        await turn()
        assert (outer.scheduler.in_steps, inner.scheduler.in_steps) == ([1, 2, 0], [2, 0])
        replies.close()
        await turn()

        assert outer.at_rest()
        assert inner.at_rest()
        assert inner.statistics.failures["CANCELED"] == 2

    async def test_an_inner_model_that_does_not_serve(self):
        """Both ensembles are named."""
        outer, inner = self.rigs()
        del inner.models["d2"]
        with pytest.raises(NotFound, match=r"^in ensemble 'e', in ensemble 'inner', Request for"):
            outer.ask()

        assert outer.at_rest()


@given(
    counts=st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=5),
    order=st.randoms(use_true_random=False),
    max_in_flight=st.integers(0, 3),
)
def test_whatever_the_counts_the_responses_are_flattened_in_order(counts, order, max_in_flight):
    """Two decoupled steps and one behind each; its answers come in any order."""

    async def check():
        rig = Rig(
            (
                ("d", {"X": "I"}, {"Y": "t"}),
                ("b", {"X": "t"}, {"Y": "u"}),
                ("d2", {"X": "u"}, {"Y": "v"}),
                ("c", {"X": "v"}, {"Y": "O"}),
            ),
            max_in_flight,
        )
        firsts = [[100 * index + place for place in range(len(row))] for index, row in
                  enumerate(counts)]  # fmt: skip
        flat = [(value, count) for values, row in zip(firsts, counts, strict=True)
                for value, count in zip(values, row, strict=True)]  # fmt: skip
        of = dict(flat)
        rig.models["d"].script = lambda _: [*(value for value, _ in flat), END]
        rig.models["d2"].script = lambda value: [
            *(1000 * (value - 1) + place for place in range(of[value - 1])), END,
        ]  # fmt: skip
        expected = [1000 * value + place + 1 for value, count in flat for place in range(count)]
        waits = [
            *rig.models["b"].hold(*(value for value, _ in flat)),
            *rig.models["c"].hold(*(one - 1 for one in expected)),
        ]
        order.shuffle(waits)
        collecting = asyncio.ensure_future(collect(rig.ask()))
        for go_on in waits:
            go_on()
            await turn(order.randint(0, 3))
        assert await collecting == (expected, None)
        await turn()
        assert rig.at_rest()

    asyncio.run(check())


@pytest.mark.parametrize("seed", range(5))
async def test_every_request_has_one_outcome_whatever_clients_and_steps_do(seed):
    """Closed at any moment, failing at any step, with slow clients; nothing stays behind."""
    rig, chance = Rig(TWO, max_in_flight=seed), random.Random(seed)

    def script(value):
        replies = [value] * chance.choice((0, 1, 2, 30))
        return [*replies, BackendError("no") if chance.random() < 0.05 else END]

    rig.models["d"].script = rig.models["d2"].script = script
    outcomes = {"answered": 0, "failed": 0, "left": 0}

    async def client():
        replies, leaves_after = rig.ask(), chance.choice((0, 1, 20, 10_000))
        for _ in range(leaves_after):
            if chance.random() < 0.2:
                await turn(3)
            answer, final = await replies.receive()
            if final:
                outcomes["answered" if answer is None else "failed"] += 1
                break
        else:
            outcomes["left"] += 1
        replies.close()

    async with asyncio.timeout(30):
        await asyncio.gather(*(client() for _ in range(60)))
    await turn()

    assert rig.at_rest()
    assert min(outcomes.values()) > 0
    statistics = rig.statistics
    assert statistics.success.count + statistics.fail.count == 60
    assert statistics.failures["BACKEND"] >= outcomes["failed"]
    assert statistics.failures["CANCELED"] <= outcomes["left"]
