"""The responses of decoupled ensembles: their order, how many are on their way, and errors."""

import asyncio

import pytest

from inferd.errors import BackendError
from inferd.protocol.messages import InferResponse
from inferd.scheduling.replies import ROOM, Reply
from tests.scheduling.ensemble_rig import CHAIN, END, Rig, collect, tensor, turn, value_of


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
    """It names the ensemble and the step, and keeps its class; nothing after it is taken."""
    rig = Rig()
    (go_on,) = rig.models["b"].hold(1)
    replies, source = await rig.asked()
    source.put(1, 2, BackendError("out of memory"), 3)
    await turn()
    go_on()
    values, error = await collect(replies)

    assert values == [2, 3]
    assert type(error) is BackendError
    assert error.message == "in ensemble 'e', out of memory (step 'd')"
    assert source.taken == 3
    await turn()
    assert rig.at_rest()
    assert rig.statistics.failures["BACKEND"] == 1


async def test_an_error_that_was_not_the_steps_last_word_ends_the_request():
    """And the step is told that nobody waits any more."""
    rig = Rig()
    replies, source = await rig.asked()
    source.put(Reply(BackendError("no"), final=False))

    assert (await collect(replies))[1].message == "in ensemble 'e', no (step 'd')"
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

    assert (values, error.message) == ([], "in ensemble 'e', no (step 'b')")
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
    assert (values, error.message) == ([2], "in ensemble 'e', no (step 'b')")


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
        assert (await collect(rig.ask()))[1].message == "in ensemble 'e', no (step 'a')"
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
