"""How many calls a client may give up."""

import pytest

from inferd.frontends.grpc.reset_budget import ResetBudget

SECOND = 1_000_000_000


@pytest.mark.parametrize(("count", "enough"), [(10, True), (11, False)])
def test_the_budget_is_exact(count, enough):
    """As many as the burst are free; one more is not, together or one by one."""
    assert ResetBudget(10, 0).spend(count, 1) is enough
    budget = ResetBudget(10, 0)
    assert [budget.spend(1, 1) for _ in range(count)][-1] is enough


@pytest.mark.parametrize(("later", "enough"), [(SECOND // 4, True), (SECOND // 4 - 1, False)])
def test_time_refills_it(later, enough):
    """Four per second are one per quarter of a second."""
    budget = ResetBudget(2, 4)
    assert budget.spend(2, SECOND)
    assert budget.spend(1, SECOND + later) is enough


def test_it_never_holds_more_than_the_burst():
    """A patient client has no more than any other."""
    budget = ResetBudget(2, 1)
    assert budget.spend(2, 1)
    assert budget.spend(2, 3600 * SECOND)
    assert not budget.spend(1, 3600 * SECOND)
