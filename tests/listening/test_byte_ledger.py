"""How many bytes there are, and which requests there is room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from inferd.errors import ServerFull
from inferd.listening.byte_ledger import ByteLedger, Claim


def test_a_request_that_fits_exactly_is_taken():
    """One byte more is not, and a refusal counts nothing."""
    ledger = ByteLedger(100)
    assert ledger.reserve(60)
    assert not ledger.reserve(41)
    assert ledger.held == 60
    assert ledger.reserve(40)
    assert not ledger.reserve(1)
    assert ledger.reserve(0)


def test_bytes_that_are_there_anyway_are_counted():
    """They may pass the limit; at it the ledger is full."""
    ledger = ByteLedger(100)
    assert not ledger.add(99)
    assert ledger.add(1)
    assert ledger.add(50)
    assert not ledger.reserve(1)
    assert not ledger.add(-51)


@pytest.mark.parametrize(("held", "is_tight"), [(50, False), (51, True)])
def test_it_is_tight_above_half(held, is_tight):
    """Who can wait should then."""
    ledger = ByteLedger(100)
    ledger.add(held)
    assert ledger.is_tight is is_tight
    assert Claim(ledger).is_tight is is_tight


def test_a_refusal_says_what_to_do():
    """The size, what is held, the limit and the option."""
    ledger = ByteLedger(100)
    ledger.add(70)
    with pytest.raises(ServerFull) as caught:
        Claim(ledger).grow(31)
    assert caught.value.message == (
        "no room for a request of 31 bytes: 70 of 100 bytes are held for others. Use "
        "--max-in-flight-bytes to increase the limit."
    )
    assert ledger.held == 70


def test_a_claim_gives_back_what_it_has_once():
    """What it reserved, less what it gave back, and what it took over."""
    ledger = ByteLedger(100)
    ledger.add(10)
    claim = Claim(ledger, 10)
    claim.grow(50)
    claim.shrink(20)
    ledger.add(5)
    claim.absorb(5)
    assert ledger.held == 45
    claim.release()
    claim.release("the future whose callback it is")
    assert ledger.held == 0


@given(st.lists(st.integers(0, 50)))
def test_reservations_never_pass_the_limit(sizes):
    """Whatever is asked for."""
    ledger = ByteLedger(100)
    taken = [size for size in sizes if ledger.reserve(size)]
    assert ledger.held == sum(taken) <= 100


class Ledgers(RuleBasedStateMachine):
    """Claims that come, grow and go, beside bytes that nobody may refuse."""

    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.ledger = ByteLedger(1000)
        self.sizes = {}
        self.unasked = 0

    @rule(target=claims)
    def begin(self):
        """A request begins."""
        claim = Claim(self.ledger)
        self.sizes[claim] = 0
        return claim

    @rule(claim=claims, size=st.integers(0, 600))
    def grow(self, claim, size):
        """It grows if it may."""
        if claim not in self.sizes:
            return
        fits = self.ledger.held + size <= 1000
        try:
            claim.grow(size)
        except ServerFull:
            assert not fits
        else:
            assert fits
            self.sizes[claim] += size

    @rule(claim=consumes(claims))
    def end(self, claim):
        """It is answered."""
        claim.release()
        del self.sizes[claim]

    @rule(size=st.integers(0, 600))
    def add(self, size):
        """Answers are queued."""
        self.unasked += size
        assert self.ledger.add(size) is (self.ledger.held >= 1000)

    @rule()
    def send(self):
        """They are sent."""
        self.ledger.add(-self.unasked)
        self.unasked = 0

    @invariant()
    def nothing_is_lost(self):
        """What is held is what there is."""
        assert self.ledger.held == sum(self.sizes.values()) + self.unasked


TestLedgers = Ledgers.TestCase
