"""When the event loop looks for input, and when it lets that be."""

import pytest

from inferd.listening.spinning import MOST_SKIPPED, SpinPolicy

WINDOW = 1000


@pytest.fixture
def policy():
    """Look for input for so long."""
    return SpinPolicy(WINDOW)


def miss(policy, now_ns):
    """Have an attempt end without input."""
    assert policy.answered(now_ns)
    assert not policy.goes_on(now_ns + WINDOW)


def skipped(policy):
    """Return how many answers pass until the next attempt, which it begins."""
    count = 0
    while not policy.answered(10**9):
        count += 1
    return count


def test_it_looks_for_as_long_as_the_window(policy):
    """From the answer on, the end not included."""
    assert policy.answered(50)
    assert policy.spinning
    assert policy.goes_on(50)
    assert policy.goes_on(50 + WINDOW - 1)
    assert not policy.goes_on(50 + WINDOW)
    assert not policy.spinning


def test_a_further_answer_prolongs_it(policy):
    """Nobody is asked to begin once more."""
    assert policy.answered(0)
    assert not policy.answered(600)
    assert policy.goes_on(600 + WINDOW - 1)
    assert not policy.goes_on(600 + WINDOW)


def test_while_input_comes_every_answer_begins_it(policy):
    """As long as clients are quick."""
    for now_ns in range(0, 100_000, 5000):
        assert policy.answered(now_ns)
        policy.heard = True
        assert not policy.goes_on(now_ns + WINDOW)


def test_without_input_it_is_tried_less_and_less(policy):
    """1, 3, 7 answers pass, and so on up to a limit: slow clients cost next to nothing."""
    found = []
    for now_ns in range(0, 80_000, 10_000):
        miss(policy, now_ns) if not found else None
        found.append(skipped(policy))
        assert not policy.goes_on(2 * 10**9)
    assert found == [1, 3, 7, 15, 31, 63, 63, 63]
    assert MOST_SKIPPED == 63


def test_input_within_the_window_ends_the_skipping(policy):
    """One quick client, and every answer counts again."""
    miss(policy, 0)
    assert skipped(policy) == 1
    policy.heard = True
    assert not policy.goes_on(2 * 10**9)
    assert policy.answered(3 * 10**9)


def test_input_before_an_attempt_does_not_count(policy):
    """It came without it."""
    policy.heard = True
    miss(policy, 0)
    assert skipped(policy) == 1
