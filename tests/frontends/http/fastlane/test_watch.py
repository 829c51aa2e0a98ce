"""When a client took too long, decided without a clock."""

import pytest

from inferd.frontends.http.fastlane.watch import BUSY, Sight, Watch, interval_seconds
from inferd.frontends.http.limits import Limits

_LIMITS = Limits(head_seconds=1.0, body_seconds=2.0, idle_seconds=3.0)
_SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("stage", "seconds"), [("head", 1), ("body", 2), ("sending", 2), ("idle", 3)]
)
def test_each_stage_has_its_limit(stage, seconds):
    """A connection may stay as it is for less than the limit, and not for all of it."""
    watch = Watch(_LIMITS)
    sight = Sight(stage, 5)
    assert not watch.is_over(sight, 7)
    assert not watch.is_over(sight, 7 + seconds * _SECOND - 1)
    assert watch.is_over(sight, 7 + seconds * _SECOND)


@pytest.mark.parametrize("stage", ["head", "body", "sending", "idle"])
def test_progress_is_waited_for_again(stage):
    """Whenever a client got on, its time begins anew."""
    watch = Watch(_LIMITS)
    for mark in range(5):
        assert not watch.is_over(Sight(stage, mark), mark * 10 * _SECOND)
        assert not watch.is_over(Sight(stage, mark), mark * 10 * _SECOND + _SECOND - 1)


def test_a_stage_does_not_inherit_the_time_of_another():
    """A body that follows a slow head has all its time."""
    watch = Watch(_LIMITS)
    assert not watch.is_over(Sight("head", 1), 0)
    assert not watch.is_over(Sight("body", 1), _SECOND)
    assert not watch.is_over(Sight("body", 1), 3 * _SECOND - 1)
    assert watch.is_over(Sight("body", 1), 3 * _SECOND)


def test_a_client_that_waits_is_never_late():
    """As long as it is the server's turn, nothing is over."""
    watch = Watch(_LIMITS)
    assert not any(watch.is_over(BUSY, seconds * _SECOND) for seconds in (0, 10, 10_000))


def test_nothing_is_for_ever():
    """A limit of 0 is none."""
    watch = Watch(Limits(head_seconds=0, body_seconds=0, idle_seconds=0))
    for stage in ("head", "body", "sending", "idle"):
        assert not watch.is_over(Sight(stage, 1), 0)
        assert not watch.is_over(Sight(stage, 1), 10_000 * _SECOND)


def test_looks_are_often_enough():
    """Several looks fit into the shortest limit, and with no limit there are none."""
    assert interval_seconds(_LIMITS) == 1 / 8
    assert interval_seconds(Limits(head_seconds=0, body_seconds=0, idle_seconds=4)) == 0.5
    assert interval_seconds(Limits(head_seconds=900, body_seconds=900, idle_seconds=900)) == 10
    assert interval_seconds(Limits(head_seconds=0, body_seconds=0, idle_seconds=0)) is None
