"""Random instances with random needs: nobody is stopped without a reason, and nobody starves."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.scheduling.rate_limiter import Claim, Limit, RateLimiter, Resource, limit_of
from tests.scheduling.limiting import registered

KEYS = [Resource("R", 0), Resource("R", 1), Resource("G")]
NEEDS = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 3), max_size=3)


class Limiting(RuleBasedStateMachine):
    """Any number of instances that come, execute, give up and go."""

    @initialize(limited=st.booleans())
    def start(self, limited):
        """Begin without instances."""
        self.limits = [Limit("R", 4), Limit("G", 3)] if limited else []
        self.limiter = RateLimiter(self.limits)
        self.idle, self.holding = [], []

    @rule(needs=NEEDS, priority=st.integers(0, 4))
    def load(self, needs, priority):
        """Add an instance."""
        claim = Claim(needs, priority)
        self.limiter.register(claim)
        self.idle.append(claim)

    @precondition(lambda self: self.idle)
    @rule(data=st.data())
    def acquire(self, data):
        """Ask; what is granted was there."""
        claim = data.draw(st.sampled_from(self.idle))
        if self.limiter.acquire(claim):
            self.idle.remove(claim)
            self.holding.append(claim)
            for key in claim.needs:
                assert self.held(key) <= self.capacity(key)

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), executed=st.booleans())
    def give_back(self, data, executed):
        """End an execution, or not execute at all."""
        claim = data.draw(st.sampled_from(self.holding))
        (self.limiter.release if executed else self.limiter.put_back)(claim)
        self.holding.remove(claim)
        self.idle.append(claim)

    @precondition(lambda self: self.idle)
    @rule(data=st.data(), gone=st.booleans())
    def give_up(self, data, gone):
        """Wait no longer; perhaps for ever."""
        claim = data.draw(st.sampled_from(self.idle))
        if gone:
            self.limiter.unregister(claim)
            self.idle.remove(claim)
        else:
            self.limiter.withdraw(claim)

    def capacity(self, key):
        """Return how much there is of a resource now."""
        stated = limit_of(key, self.limits)
        if stated is not None:
            return stated
        return max(claim.needs.get(key, 0) for claim in self.idle + self.holding)

    def held(self, key):
        """Return how much is in use."""
        return sum(claim.needs.get(key, 0) for claim in self.holding)

    @invariant()
    def a_waiter_is_stopped_only_by_what_it_needs(self):
        """Whoever cannot go needs something that others hold, or wait for before it."""
        if not hasattr(self, "limiter"):
            return
        admitted, waiting = self.limiter.admitted(), list(self.limiter.waiting)
        assert all(claim.waiting for claim in waiting)
        for index, claim in enumerate(waiting):
            if claim not in admitted:
                assert any(
                    self.held(key)
                    + amount
                    + sum(
                        ahead.needs.get(key, 0)
                        for ahead in waiting[:index]
                        if ahead in admitted or key in ahead.lacked
                    )
                    > self.capacity(key)
                    for key, amount in claim.needs.items()
                )

    def teardown(self):
        """Give everything back: each waiter executes, in at most as many rounds as there are."""
        if not hasattr(self, "limiter"):
            return
        for _ in range(len(self.limiter.waiting) + 1):
            for claim in self.holding:
                self.limiter.release(claim)
            self.holding.clear()
            waited = bool(self.limiter.waiting)
            self.holding += [one for one in self.limiter.admitted() if self.limiter.acquire(one)]
            assert bool(self.holding) == waited
        assert not self.limiter.waiting
        assert not self.holding


TestLimiting = Limiting.TestCase
TestLimiting.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=60, deadline=None)
@given(
    needs=st.lists(NEEDS.filter(bool), min_size=2, max_size=6),
    priorities=st.lists(st.integers(1, 4), min_size=6, max_size=6),
    data=st.data(),
)
def test_nobody_starves_while_all_want_to_execute_all_the_time(needs, priorities, data):
    """Between two executions of one, each other has at most a few more than its priority."""
    claims = [Claim(need, priority) for need, priority in zip(needs, priorities, strict=False)]
    limiter = registered(*claims)
    since = dict.fromkeys(claims, 0)
    holding = [claim for claim in claims if limiter.acquire(claim)]
    for _ in range(150):
        ended = data.draw(st.sampled_from(holding))
        holding.remove(ended)
        limiter.release(ended)
        if limiter.acquire(ended):
            holding.append(ended)
        holding += [claim for claim in limiter.admitted() if limiter.acquire(claim)]
        since = {claim: since[claim] + 1 for claim in claims}
        since.update(dict.fromkeys((ended, *holding), 0))
        assert max(since.values()) <= 12 * len(claims)
