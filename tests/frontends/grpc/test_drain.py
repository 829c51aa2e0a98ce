"""The shutdown as the calls see it."""

from inferd.frontends.grpc.drain import Drain


def test_listeners_are_told_once():
    """Who is still listening when the drain begins is told; who left is not."""
    told = []
    drain = Drain()
    assert drain.begun is False
    stays, leaves = (lambda: told.append("stays")), (lambda: told.append("leaves"))
    drain.add(stays)
    drain.add(leaves)
    drain.discard(leaves)
    drain.begin()
    assert drain.begun is True
    assert told == ["stays"]


def test_a_listener_may_leave_while_it_is_told():
    """Leaving from within is allowed, as is leaving twice."""
    drain = Drain()

    def leave():
        drain.discard(leave)

    drain.add(leave)
    drain.begin()
    drain.discard(leave)
