"""How requests to decoupled ensembles end: clients that leave, failures, unloads; and at random."""

import asyncio
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import BackendError, ModelNotReady, NotFound, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.replies import ROOM, Reply
from tests.scheduling.ensemble_rig import ALONE, END, TWO, Rig, collect, tensor, turn


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
        """From the outside in, and the steps from the inside out."""
        outer, inner = self.rigs()
        outer.models["d"].script = lambda _: [1, END]
        inner.models["d"].script = lambda _: [BackendError("no")]
        _, error = await collect(outer.ask())

        assert error.message == "in ensemble 'e', in ensemble 'inner', no (step 'd') (step 'n')"
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
