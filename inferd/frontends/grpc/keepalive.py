"""
When a connection is pinged, given up, turned away or retired: decisions without a clock.

A client that is silent is pinged, and given up when nothing comes back. A client that
pings too often, while it gets nothing else, is told to calm down. A connection that has
grown old is retired. Pure: whoever asks says what time it is and what was seen.
Source: gRPC's keepalive guide, ``Chttp2PingAbusePolicy`` and ``Chttp2PingRatePolicy`` of
gRPC core, and proposal A9 for the age.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

_NS_PER_MS: Final = 1_000_000

_IDLE_INTERVAL_NS: Final = 7200 * 10**9
"""What a client without calls must leave between pings, unless those are allowed."""

AGE_SPREAD: Final = 0.1
"""Ages differ by this share, so that connections made together do not end together."""

_NOTICE_NS: Final = 10**9
"""Between the first and the last GOAWAY; calls that cross the first are still served."""


@dataclass(frozen=True, slots=True)
class KeepaliveSettings:
    """
    What the operator chose; times are in milliseconds, the defaults gRPC's.

    Attributes:
        time_ms: Silence after which a client is pinged.
        timeout_ms: How long it then may be silent.
        permit_without_calls: Whether clients without calls are pinged, and may ping as
            often as others.
        max_pings_without_data: Pings in a row without anything else being sent; 0 is any
            number.
        min_recv_ping_interval_ms: What a client must leave between two pings while it is
            sent nothing.
        max_ping_strikes: Pings that may come too early; 0 is any number.
        max_age_ms: When a connection is retired; 0 is never.
        max_age_grace_ms: How long its calls then have to end; 0 is for ever.
    """

    time_ms: int = 7_200_000
    timeout_ms: int = 20_000
    permit_without_calls: bool = False
    max_pings_without_data: int = 0
    min_recv_ping_interval_ms: int = 300_000
    max_ping_strikes: int = 2
    max_age_ms: int = 0
    max_age_grace_ms: int = 0


class Traffic(NamedTuple):
    """
    What was seen on a connection.

    Attributes:
        heard_ns: When the peer was last heard, monotonic.
        calls: How many calls are open.
        sent: How many frames were sent that are headers, data or flow-control credit.
    """

    heard_ns: int
    calls: int
    sent: int


class Decision(NamedTuple):
    """
    What to do now, and when to ask again.

    Attributes:
        act: ``ping`` the peer, ``announce`` the end to it, ``refuse`` further calls, or
            ``drop`` the connection.
        wake_ns: When to ask again, monotonic.
    """

    act: Literal["wait", "ping", "announce", "refuse", "drop"]
    wake_ns: int


class Keepalive:
    """
    Decides about pings to one client.

    Args:
        settings: What the operator chose.
    """

    __slots__ = ("_max_pings", "_permits", "_pinged_ns", "_pings", "_sent", "_time", "_timeout")

    def __init__(self, settings: KeepaliveSettings) -> None:
        self._time = settings.time_ms * _NS_PER_MS
        self._timeout = settings.timeout_ms * _NS_PER_MS
        self._permits = settings.permit_without_calls
        self._max_pings = settings.max_pings_without_data
        self._pinged_ns = 0
        self._pings = 0
        self._sent = 0

    def decide(self, now_ns: int, traffic: Traffic) -> Decision:
        """Return ``ping``, ``drop`` or ``wait``; whatever is heard after a ping answers it."""
        if self._pinged_ns and traffic.heard_ns < self._pinged_ns:
            late_ns = self._pinged_ns + self._timeout
            if now_ns < late_ns:
                return Decision("wait", min(late_ns, now_ns + self._time))
            return Decision("drop", now_ns)
        self._pinged_ns = 0
        due_ns = traffic.heard_ns + self._time
        if now_ns < due_ns:
            return Decision("wait", due_ns)
        if not self._may_ping(traffic):
            return Decision("wait", now_ns + self._time)
        self._pings += 1
        self._pinged_ns = now_ns
        # The answer wakes nobody: the next ping may be due before this one is given up.
        return Decision("ping", now_ns + min(self._timeout, self._time))

    def _may_ping(self, traffic: Traffic) -> bool:
        if traffic.sent != self._sent:
            self._sent = traffic.sent
            self._pings = 0
        if not traffic.calls and not self._permits:
            return False
        return not self._max_pings or self._pings < self._max_pings


class ConnectionAge:
    """
    Decides about the age of one connection.

    Args:
        settings: What the operator chose; with an age.
        made_ns: When it was made, monotonic.
        spread: From -1 to 1, at random: by how much of :data:`AGE_SPREAD` its age differs.
    """

    __slots__ = ("_acts",)

    def __init__(self, settings: KeepaliveSettings, made_ns: int, spread: float) -> None:
        age_ns = int(settings.max_age_ms * _NS_PER_MS * (1 + AGE_SPREAD * spread))
        old_ns = made_ns + age_ns
        self._acts = [Decision("announce", old_ns), Decision("refuse", old_ns + _NOTICE_NS)]
        if settings.max_age_grace_ms:
            grace_ns = settings.max_age_grace_ms * _NS_PER_MS
            self._acts.append(Decision("drop", old_ns + _NOTICE_NS + grace_ns))

    def decide(self, now_ns: int) -> Decision | None:
        """Return ``announce``, ``refuse``, ``drop`` or ``wait``; ``None`` when nothing follows."""
        if not self._acts:
            return None
        act, due_ns = self._acts[0]
        if now_ns < due_ns:
            return Decision("wait", due_ns)
        del self._acts[0]
        return Decision(act, self._acts[0].wake_ns if self._acts else now_ns)


class PingStrikes:
    """
    Counts the pings of one client that came too early.

    Args:
        settings: What the operator chose.
    """

    __slots__ = ("_interval", "_last_ns", "_limit", "_permits", "_sent", "_strikes")

    def __init__(self, settings: KeepaliveSettings) -> None:
        self._interval = settings.min_recv_ping_interval_ms * _NS_PER_MS
        self._limit = settings.max_ping_strikes
        self._permits = settings.permit_without_calls
        self._last_ns: int | None = None
        self._sent = 0
        self._strikes = 0

    def is_too_many(self, now_ns: int, calls: int, sent: int) -> bool:
        """
        Count a ping; return whether the connection has to end.

        Args:
            now_ns: When it came, monotonic.
            calls: As in :class:`Traffic`.
            sent: As in :class:`Traffic`; whatever was sent clears the count.
        """
        if sent != self._sent:
            self._sent = sent
            self._strikes = 0
            self._last_ns = None
        interval_ns = self._interval if calls or self._permits else _IDLE_INTERVAL_NS
        is_early = self._last_ns is not None and now_ns < self._last_ns + interval_ns
        self._last_ns = now_ns
        self._strikes += is_early
        return is_early and 0 < self._limit < self._strikes
