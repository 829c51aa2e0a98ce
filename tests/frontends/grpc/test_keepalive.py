"""When connections are pinged, given up, turned away and retired, to the nanosecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.frontends.grpc.keepalive import (
    ConnectionAge,
    Decision,
    Keepalive,
    KeepaliveSettings,
    PingStrikes,
    Traffic,
)

MS = 1_000_000
HOURS = 3600 * 10**9
SETTINGS = KeepaliveSettings(time_ms=100, timeout_ms=20)


def decide(keepalive, now_ns, heard_ns, calls=1, sent=0):
    """Ask what to do."""
    return keepalive.decide(now_ns, Traffic(heard_ns, calls, sent))


def test_a_silent_client_is_pinged_after_the_time():
    """Not a nanosecond earlier, and the answer has its own time."""
    keepalive = Keepalive(SETTINGS)
    assert decide(keepalive, 5, 5) == Decision("wait", 100 * MS + 5)
    assert decide(keepalive, 100 * MS + 4, 5) == Decision("wait", 100 * MS + 5)
    assert decide(keepalive, 100 * MS + 5, 5) == Decision("ping", 120 * MS + 5)


def test_a_client_that_is_heard_is_not_pinged():
    """What it sends puts the ping off."""
    assert decide(Keepalive(SETTINGS), 150 * MS, 60 * MS) == Decision("wait", 160 * MS)


def test_a_client_that_does_not_answer_is_given_up():
    """At the end of the timeout, and not before."""
    keepalive = Keepalive(SETTINGS)
    assert decide(keepalive, 100 * MS, 0).act == "ping"
    assert decide(keepalive, 120 * MS - 1, 99 * MS) == Decision("wait", 120 * MS)
    assert decide(keepalive, 120 * MS, 100 * MS - 1).act == "drop"


def test_a_ping_is_not_late_because_the_one_before_had_much_time():
    """Whoever asks comes back in time for the next one, however long the timeout."""
    keepalive = Keepalive(KeepaliveSettings(time_ms=100, timeout_ms=500))
    assert decide(keepalive, 100 * MS, 0) == Decision("ping", 200 * MS)
    assert decide(keepalive, 200 * MS, 0) == Decision("wait", 300 * MS)
    assert decide(keepalive, 300 * MS, 110 * MS) == Decision("ping", 400 * MS)
    assert decide(keepalive, 800 * MS, 110 * MS).act == "drop"
    keepalive = Keepalive(KeepaliveSettings(time_ms=100, timeout_ms=500))
    assert decide(keepalive, 100 * MS, 0).act == "ping"
    assert decide(keepalive, 550 * MS, 0) == Decision("wait", 600 * MS)


@pytest.mark.parametrize("heard_ns", [100 * MS, 100 * MS + 1, 119 * MS])
def test_whatever_is_heard_after_a_ping_answers_it(heard_ns):
    """The next ping is due a whole time of silence later."""
    keepalive = Keepalive(SETTINGS)
    assert decide(keepalive, 100 * MS, 0).act == "ping"
    assert decide(keepalive, 120 * MS, heard_ns) == Decision("wait", heard_ns + 100 * MS)
    assert decide(keepalive, heard_ns + 100 * MS, heard_ns).act == "ping"


def test_a_client_without_calls_is_left_alone():
    """Unless the operator wants it pinged."""
    assert decide(Keepalive(SETTINGS), 100 * MS, 0, calls=0) == Decision("wait", 200 * MS)
    permitted = KeepaliveSettings(time_ms=100, timeout_ms=20, permit_without_calls=True)
    assert decide(Keepalive(permitted), 100 * MS, 0, calls=0).act == "ping"


def test_pings_without_data_may_be_limited():
    """After so many in a row something else must be sent first."""
    keepalive = Keepalive(KeepaliveSettings(time_ms=100, max_pings_without_data=2))
    assert decide(keepalive, 100 * MS, 0).act == "ping"
    assert decide(keepalive, 201 * MS, 101 * MS).act == "ping"
    assert decide(keepalive, 302 * MS, 202 * MS) == Decision("wait", 402 * MS)
    assert decide(keepalive, 402 * MS, 202 * MS, sent=1).act == "ping"


def test_without_a_limit_pings_go_on():
    """However many were sent."""
    keepalive = Keepalive(SETTINGS)
    for n in range(1, 50):
        assert decide(keepalive, 100 * MS * n, 100 * MS * (n - 1)).act == "ping"


def strikes(pings, *, interval_ms=10, limit=2, permit=False):
    """Return which ping ends the connection, from 1 on; pings are (ms, calls, sent)."""
    settings = KeepaliveSettings(
        min_recv_ping_interval_ms=interval_ms, max_ping_strikes=limit, permit_without_calls=permit
    )
    counter = PingStrikes(settings)
    for n, (now, calls, sent) in enumerate(pings, 1):
        if counter.is_too_many(int(now * MS), calls, sent):
            return n
    return None


def test_the_strike_after_the_last_ends_the_connection():
    """The first ping is free, two come too early unpunished, the next is one too many."""
    assert strikes([(n, 1, 0) for n in range(10)]) == 4
    assert strikes([(n, 1, 0) for n in range(10)], limit=1) == 3
    assert strikes([(n, 1, 0) for n in range(1000)], limit=0) is None


@pytest.mark.parametrize(("gap", "ends"), [(10, None), (10 - 1 / MS, 4)])
def test_a_ping_at_the_interval_is_in_time(gap, ends):
    """One a nanosecond before it is not."""
    assert strikes([(gap * n, 1, 0) for n in range(10)]) == ends


def test_an_early_ping_starts_the_interval_anew():
    """And early ones add up, with pings in time between them."""
    times = [0, 9, 18, 28, 37]
    assert strikes([(now, 1, 0) for now in times]) == 5


def test_what_is_sent_forgives():
    """The count, and the time of the ping before."""
    assert strikes([(n, 1, n // 3) for n in range(100)]) is None
    assert strikes([(n, 1, n // 4) for n in range(100)]) == 4


def test_without_calls_pings_are_two_hours_apart():
    """Whatever the interval; unless clients without calls may ping."""
    hours = HOURS / MS
    assert strikes([(2 * hours * n, 0, 0) for n in range(10)]) is None
    assert strikes([(2 * hours * n - n / MS, 0, 0) for n in range(10)]) == 4
    assert strikes([(10 * n, 0, 0) for n in range(10)]) == 4
    assert strikes([(10 * n, 0, 0) for n in range(10)], permit=True) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=40))
def test_the_rule_is_that_of_grpcs_core(gaps):
    """Compared with the rule written down from its description, step by step."""
    now = last = early = sent = 0
    known = False
    expected, pings = None, []
    for n, (gap, sends) in enumerate(gaps, 1):
        now += gap
        sent += sends
        pings.append((now, 1, sent))
        if sends:
            known, early = False, 0
        if known and now - last < 10:
            early += 1
            if early > 2 and expected is None:
                expected = n
        known, last = True, now
    assert strikes(pings) == expected


def test_an_old_connection_is_retired_step_by_step():
    """Announced, a second later closed to calls, and dropped after the grace."""
    age = ConnectionAge(KeepaliveSettings(max_age_ms=1000, max_age_grace_ms=500), 7, 0.0)
    assert age.decide(7) == Decision("wait", 1000 * MS + 7)
    assert age.decide(1000 * MS + 6) == Decision("wait", 1000 * MS + 7)
    assert age.decide(1000 * MS + 7) == Decision("announce", 2000 * MS + 7)
    assert age.decide(2000 * MS + 6) == Decision("wait", 2000 * MS + 7)
    assert age.decide(2000 * MS + 7) == Decision("refuse", 2500 * MS + 7)
    assert age.decide(2500 * MS + 6) == Decision("wait", 2500 * MS + 7)
    assert age.decide(2500 * MS + 7).act == "drop"
    assert age.decide(9999 * MS) is None


def test_without_a_grace_calls_may_last():
    """Nothing follows when the connection takes no calls any more."""
    age = ConnectionAge(KeepaliveSettings(max_age_ms=1), 0, 0.0)
    assert age.decide(5000 * MS).act == "announce"
    assert age.decide(5000 * MS).act == "refuse"
    assert age.decide(5000 * MS) is None


@pytest.mark.parametrize(("spread", "age_ms"), [(-1, 900), (1, 1100)])
def test_ages_differ_by_a_tenth(spread, age_ms):
    """Connections that were made together do not end together."""
    age = ConnectionAge(KeepaliveSettings(max_age_ms=1000), 0, spread)
    assert age.decide(0).wake_ns == pytest.approx(age_ms * MS, abs=1)
