"""Which decoupled steps the tensors of an ensemble come from, and which must not meet."""

import pytest

from inferd._generated import inference as pb
from inferd.errors import LoadFailed
from inferd.models.origins import Origins

TOGETHER = (
    "in ensemble e, there are decoupled models of which neither receives what originated from "
    "the other"
)


def step(reads, writes):
    """Return a step from the names of the tensors it reads and writes."""
    return pb.ModelEnsemblingStep(
        model_name=f"to_{writes[0]}",
        input_map={f"X{index}": name for index, name in enumerate(reads.split())},
        output_map={f"Y{index}": name for index, name in enumerate(writes.split())},
    )


def check(decoupled, *steps):
    """Check an ensemble whose inputs are ``I`` and ``J``."""
    origins = Origins("e", frozenset(decoupled))
    origins.follow([step(*one) for one in steps], ["I", "J"])
    origins.check_together()


def refuse(text, decoupled, *steps):
    """Check that it is refused with exactly this text."""
    with pytest.raises(LoadFailed) as caught:
        check(decoupled, *steps)
    assert caught.value.message == text


def receives(model):
    """Return the text about a step that receives what does not go together."""
    return (
        f"in ensemble e, step of model '{model}' receives inputs originated from different "
        "decoupled models"
    )


def test_without_decoupled_steps_everything_goes_together():
    """Whatever the graph."""
    check([], ("I", "a"), ("J", "b"), ("a b", "O"))


def test_an_ensemble_without_steps_passes():
    """There is nothing to mix."""
    check([])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_step_may_need_a_response_and_what_came_before(order):
    """The input of the decoupled step, say; in whichever order the steps are written."""
    steps = [("I", "d"), ("I J", "b"), ("d b I", "O")]
    check([order.index(0)], *(steps[index] for index in order))


def test_branches_of_one_response_may_join():
    """They come from the same response."""
    check([0], ("I", "d e"), ("d", "a"), ("e", "b"), ("a b", "O"))


def test_a_chain_of_decoupled_steps_passes():
    """Each response of the first has responses of the second, and goes together with them."""
    check([0, 2], ("I", "d"), ("d", "a"), ("a", "e"), ("d e I", "O"))


def test_a_step_behind_two_decoupled_ones_is_refused():
    """Neither has a response that belongs to a response of the other."""
    refuse(receives("to_O"), [0, 1], ("I", "d"), ("I", "e"), ("d e", "O"))


def test_a_decoupled_step_behind_two_decoupled_ones_is_refused():
    """Also through steps between them."""
    refuse(receives("to_O"), [0, 1, 3], ("I", "d"), ("J", "e"), ("d", "a"), ("a e", "O"))


def test_siblings_behind_a_decoupled_step_must_not_meet():
    """Sharing the first is not enough."""
    refuse(receives("to_O"), [0, 1, 2], ("I", "d"), ("d", "a"), ("d", "b"), ("a b", "O"))


def test_outputs_of_different_decoupled_steps_are_refused():
    """No response could have both."""
    refuse(TOGETHER, [0, 1], ("I", "O"), ("I", "P"))


def test_a_decoupled_step_beside_another_is_refused_although_nobody_reads_it():
    """Its responses belong to no response of the ensemble."""
    refuse(TOGETHER, [1, 2], ("I", "a"), ("a", "O"), ("a", "unread"))


def test_steps_that_can_never_start_are_left_to_other_checks():
    """Nothing is known of tensors that nobody makes, and the check ends."""
    check([0, 1], ("I", "d"), ("nowhere", "e"), ("e d", "O"))
