"""When a model runs on the event loop."""

import pytest

from inferd.scheduling.inline import LIMIT_NS, PROBATION, SLOW_FACTOR, InlinePolicy, inline_policy


def observed(*times_ns):
    """Return a policy that has seen these executions."""
    policy = InlinePolicy()
    for elapsed_ns in times_ns:
        policy.observe(elapsed_ns)
    return policy


def test_a_new_model_runs_on_its_thread():
    """Nothing is known about it."""
    assert not InlinePolicy().inline


def test_a_fast_model_moves_to_the_loop_after_its_probation():
    """The first executions, slow as they often are, decide nothing."""
    assert not observed(*[1000] * PROBATION).inline
    assert observed(*[1000] * (PROBATION + 1)).inline


def test_a_model_at_the_limit_stays_on_its_thread():
    """Only less than the limit is fast."""
    assert not observed(*[LIMIT_NS * 2] * 100).inline


def test_one_slow_execution_sends_it_back_at_once():
    """The loop is not blocked twice."""
    policy = observed(*[1000] * 100)
    policy.observe(SLOW_FACTOR * LIMIT_NS + 1)

    assert not policy.inline


def test_an_execution_at_the_bound_is_only_averaged():
    """The bound itself is not slow."""
    policy = observed(*[1000] * 100)
    policy.observe(SLOW_FACTOR * LIMIT_NS)

    assert policy.inline


def test_it_may_return_after_a_slow_one():
    """A single hiccup is forgiven after another probation."""
    policy = observed(*[1000] * 100, SLOW_FACTOR * LIMIT_NS + 1, *[1000] * 100)

    assert policy.inline


@pytest.mark.parametrize(("place", "inline"), [("inline", True), ("thread", False)])
@pytest.mark.parametrize("elapsed_ns", [1000, SLOW_FACTOR * LIMIT_NS + 1])
def test_a_pinned_model_stays_where_it_is(place, inline, elapsed_ns):
    """However fast or slow it is."""
    policy = inline_policy(place)
    assert policy.inline is inline
    for _ in range(100):
        policy.observe(elapsed_ns)

    assert policy.inline is inline


def test_a_model_that_is_not_pinned_moves():
    """As its executions turn out."""
    policy = inline_policy("auto")
    for _ in range(PROBATION + 1):
        policy.observe(1000)

    assert policy.inline
