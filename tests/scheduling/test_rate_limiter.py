"""Who may execute when resources are scarce."""

import pytest

from inferd.scheduling.rate_limiter import GLOBAL, Claim, Limit, Resource, limit_of, objection
from tests.scheduling.limiting import registered

R, S = Resource("R", 0), Resource("S", 0)


def served(limiter, claims, turns):
    """Let every claim want to execute all the time, one after the other; return who did."""
    order = []
    for claim in claims:
        limiter.acquire(claim)
    running = claims[0]
    for _ in range(turns):
        order.append(claims.index(running))
        limiter.release(running)
        limiter.acquire(running)
        if running.waiting:
            running = limiter.admitted()[0]
            assert limiter.acquire(running)
    return order


def crowded():
    """Return a limiter and three claims to one resource: the first has it, the others wait."""
    claims = [Claim({R: 1}) for _ in range(3)]
    limiter = registered(*claims)
    for claim in claims:
        limiter.acquire(claim)
    return limiter, *claims


def test_an_execution_takes_what_it_needs_until_it_is_over():
    """The next one waits and then gets it."""
    first, second = Claim({R: 2}), Claim({R: 1})
    limiter = registered(first, second)

    assert limiter.acquire(first)
    assert not limiter.acquire(second)
    assert limiter.waiting == [second]
    limiter.release(first)
    assert limiter.admitted() == [second]
    assert limiter.acquire(second)
    assert limiter.waiting == []


def test_there_is_as_much_as_the_greatest_need():
    """Unless something else is said; what all but one need together fits in."""
    claims = [Claim({R: 3}), Claim({R: 2}), Claim({R: 1}), Claim({R: 1})]
    limiter = registered(*claims)

    assert [limiter.acquire(claim) for claim in claims[1:]] == [True, True, False]


@pytest.mark.parametrize(("count", "allowed"), [(3, 3), (4, 4)])
def test_a_stated_limit_replaces_the_greatest_need(count, allowed):
    """Exactly so many execute at the same time."""
    claims = [Claim({R: 1}) for _ in range(6)]
    limiter = registered(*claims, limits=[Limit("R", count)])

    assert sum(limiter.acquire(claim) for claim in claims) == allowed


def test_the_greatest_need_goes_with_the_instance():
    """When it is unloaded there is less."""
    big, one, other = Claim({R: 2}), Claim({R: 1}), Claim({R: 1})
    limiter = registered(big, one, other)
    limiter.unregister(big)

    assert limiter.acquire(one)
    assert not limiter.acquire(other)


def test_devices_have_resources_of_their_own():
    """One GPU is not held up by another."""
    one, other = Claim({Resource("R", 0): 1}), Claim({Resource("R", 1): 1})
    limiter = registered(one, other)

    assert limiter.acquire(one)
    assert limiter.acquire(other)


def test_a_blocked_instance_stops_nobody_who_needs_something_else():
    """Nor anybody who needs nothing."""
    holder, blocked = Claim({R: 1}), Claim({R: 1, S: 1})
    other, free = Claim({S: 1}), Claim({})
    limiter = registered(holder, blocked, other, free)
    limiter.acquire(holder)

    assert not limiter.acquire(blocked)
    assert limiter.acquire(other)
    assert limiter.acquire(free)


def test_what_a_waiter_once_lacked_is_kept_for_it():
    """Small needs that come later do not starve a great one."""
    small, great, late = Claim({R: 1}), Claim({R: 2}), Claim({R: 1})
    limiter = registered(small, great, late)
    limiter.acquire(small)

    assert not limiter.acquire(great)
    assert not limiter.acquire(late)
    limiter.release(small)
    assert limiter.admitted() == [great]


def test_a_waiter_gets_several_resources_though_never_free_at_once():
    """It keeps the one it lacked first while it lacks the other."""
    on_r, on_s, both = Claim({R: 1}), Claim({S: 1}), Claim({R: 1, S: 1})
    more_r, more_s = Claim({R: 1}), Claim({S: 1})
    limiter = registered(on_r, on_s, both, more_r, more_s)
    limiter.acquire(on_r)
    assert not limiter.acquire(both)
    assert limiter.acquire(on_s)
    limiter.release(on_r)
    assert limiter.admitted() == []
    assert not limiter.acquire(more_r)
    limiter.release(on_s)
    assert not limiter.acquire(more_s)
    assert limiter.admitted() == [both]


def test_a_waiter_that_gives_up_stops_nobody():
    """The one behind it is next; giving up twice is nothing."""
    limiter, holder, impatient, patient = crowded()
    limiter.withdraw(impatient)
    limiter.withdraw(impatient)
    limiter.release(holder)

    assert limiter.admitted() == [patient]


def test_an_unregistered_waiter_stops_nobody():
    """Its model is gone."""
    limiter, holder, gone, patient = crowded()
    limiter.unregister(gone)
    limiter.release(holder)

    assert limiter.admitted() == [patient]


@pytest.mark.parametrize(
    ("priorities", "expected"),
    [((1, 1), [6, 6]), ((1, 2), [8, 4]), ((3, 1), [3, 9]), ((0, 1), [6, 6]), ((1, 1, 2), None)],
)
def test_chances_follow_the_priorities(priorities, expected):
    """Priority 2 gets half as many as priority 1, and 0 counts as 1."""
    claims = [Claim({R: 1}, priority) for priority in priorities]
    order = served(registered(*claims), claims, 12 if expected else 25)
    counts = [order.count(index) for index in range(len(claims))]

    assert counts == (expected or [10, 10, 5])


def test_one_that_did_not_execute_is_not_counted_and_keeps_its_place():
    """It is before those that came after it, as it was."""
    first, second, holder = Claim({R: 1}), Claim({R: 1}), Claim({R: 1})
    limiter = registered(first, second, holder)
    limiter.acquire(first)
    limiter.put_back(first)
    assert first.weight == 0
    limiter.acquire(holder)
    limiter.acquire(second)
    limiter.acquire(first)
    limiter.release(holder)

    assert limiter.admitted() == [first]


def test_one_that_gave_up_has_lost_its_place():
    """When it comes again it is behind."""
    limiter, _, first, second = crowded()
    limiter.withdraw(first)
    limiter.acquire(first)

    assert limiter.waiting == [second, first]


def test_a_newcomer_is_not_owed_the_past():
    """It starts level, so that the others are not stopped until it has caught up."""
    old, new = Claim({R: 1}), Claim({R: 1})
    limiter = registered(old)
    for _ in range(1000):
        limiter.acquire(old)
        limiter.release(old)
    limiter.register(new)

    assert sorted(served(limiter, [old, new], 10)) == [0] * 5 + [1] * 5


def test_levels_that_drifted_apart_stop_nobody():
    """Who needs a busy and a quiet resource waits for one turn of the quiet one."""
    busy, quiet, both = Claim({R: 1}), Claim({S: 1}), Claim({R: 1, S: 1})
    limiter = registered(busy, quiet, both)
    for _ in range(1000):
        limiter.acquire(busy)
        limiter.release(busy)
    limiter.acquire(quiet)
    assert not limiter.acquire(both)
    limiter.release(quiet)

    assert not limiter.acquire(quiet)
    assert limiter.admitted() == [both]


@pytest.mark.parametrize(
    ("resource", "limit"),
    [
        (Resource("R", 0), 5),
        (Resource("R", 1), 8),
        (Resource("R", GLOBAL), 8),
        (Resource("S", 3), 2),
        (Resource("T", 0), None),
        (Resource("U", 0), None),
        (Resource("U", 1), 0),
    ],
)
def test_limits_are_per_device_unless_the_resource_is_global(resource, limit):
    """A global resource has the greatest count stated for it."""
    limits = [Limit("R", 5), Limit("R", 8, 1), Limit("R", 4, 0), Limit("S", 2), Limit("U", 0, 1)]

    assert limit_of(resource, limits) == limit


@pytest.mark.parametrize(("count", "fits"), [(3, False), (4, True)])
def test_a_limit_below_the_need_is_objected_to(count, fits):
    """Resource, limit and need are named; as much as is needed is enough."""
    found = objection([Claim({R: 4})], [], [Limit("R", count)])

    assert found == (
        None
        if fits
        else 'Resource count for "R" is limited to 3 which will prevent scheduling of one or more '
        "model instances, the minimum required count is 4"
    )


@pytest.mark.parametrize("first", [R, Resource("R", GLOBAL)])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_resource_is_global_or_not(first, loaded):
    """Also among the instances of one model."""
    second = R if first.device == GLOBAL else Resource("R", GLOBAL)
    one, other = Claim({first: 1}), Claim({second: 1})
    found = objection([one], [other], []) if loaded else objection([one, other], [], [])

    assert found == (
        'Resource "R" is present as both global and device-specific resource in the model '
        "configuration."
    )


def test_nothing_is_objected_to_claims_that_agree():
    """Whether they need the same or different things."""
    assert objection([Claim({R: 1, S: 2}), Claim({})], [Claim({Resource("R", 1): 5})], []) is None
