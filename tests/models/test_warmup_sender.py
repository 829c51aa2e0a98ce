"""What takes the responses of a warm-up sample of a decoupled model."""

import threading

import numpy as np
import pytest

from inferd.errors import BackendError
from inferd.models.warmup_sender import Outcome, WarmupSender
from inferd.protocol.messages import InferResponse

GONE = BackendError("gone")


@pytest.fixture(name="outcome")
def _outcome():
    """How the responses ended."""
    return Outcome()


@pytest.fixture(name="sender")
def _sender(outcome):
    """What the backend is given."""
    return WarmupSender(outcome)


def test_it_takes_any_number_of_responses(outcome, sender):
    """Without waiting; somebody waits for their end."""
    sender.begin(1, 2)
    for _ in range(100):
        assert sender.has_room
        assert sender.send({"Y": np.zeros(1)})

    assert not sender.is_cancelled
    assert not outcome.over.is_set()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda sender: sender.send({}, parameters={"a": 1}, final=True), None),
        (lambda sender: sender.finish(), None),
        (lambda sender: sender.fail(GONE), GONE),
        (lambda sender: sender.end(None), None),
        (lambda sender: sender.end(InferResponse("m", "1", ())), None),
        (lambda sender: sender.end(GONE), GONE),
    ],
)
def test_the_final_response_is_the_end(outcome, sender, end, error):
    """Whichever it is."""
    end(sender)

    assert outcome.over.is_set()
    assert outcome.error is error


def test_the_first_error_counts(outcome, sender):
    """An error need not be the end."""
    assert sender.fail(GONE, final=False)
    assert not outcome.over.is_set()
    sender.fail(BackendError("more"))

    assert outcome.error is GONE
    assert outcome.over.is_set()


def test_a_dropped_sender_ends_the_wait(outcome):
    """Nothing more can come."""
    senders = [WarmupSender(outcome)]
    waiting = threading.Thread(target=outcome.over.wait)
    waiting.start()
    senders.clear()
    waiting.join(10)

    assert not waiting.is_alive()
    assert outcome.error is None
