"""Warm-up samples of decoupled models: the load waits for every response."""

import threading

import pytest

from inferd.backend import Instance
from inferd.errors import BackendError, LoadFailed
from tests.models.warming import execute, text


class Decoupled(Instance):
    """
    Does with the senders of a batch what the test says.

    Attributes:
        batches: How many requests its executions had.
    """

    def __init__(self, script):
        self.batches = []
        self._script = script

    def execute(self, batch):
        """Run the script; return nothing unless it returns something."""
        self.batches.append(len(batch.senders))
        return self._script(batch) or ()


def decoupled(script, tmp_path, batch=1, more=""):
    """Warm up an instance of a decoupled model and return it."""
    config = text(batch=batch) + "model_transaction_policy { decoupled: true }" + more
    return execute(config, tmp_path, Decoupled(script))


def from_a_thread(call):
    """Return a script that answers every request from a thread, once the execution is over."""

    def script(batch):
        over = threading.Event()
        senders = list(batch.senders)

        def answer():
            assert over.wait(10)
            while senders:
                call(senders.pop())

        threading.Thread(target=answer).start()
        over.set()

    return script


def test_the_load_waits_for_every_response_of_a_decoupled_model(tmp_path):
    """They may come after the execution, from other threads."""
    sent = []

    def answer(sender):
        sent.extend(sender.send({}, final=number == 2) for number in range(3))

    assert decoupled(from_a_thread(answer), tmp_path, batch=2).batches == [2]
    assert sent == [True] * 6


def test_a_decoupled_model_may_return_its_outputs(tmp_path):
    """As any other."""
    instance = decoupled(lambda batch: [batch.inputs["INPUT0"]], tmp_path, batch=3)

    assert instance.batches == [3]


def test_a_dropped_sender_does_not_hold_the_load_up(tmp_path):
    """The sample is over."""
    assert decoupled(lambda batch: None, tmp_path).batches == [1]
    assert decoupled(from_a_thread(lambda sender: None), tmp_path).batches == [1]


def raise_out_of_order(batch):
    """Fail the batch."""
    raise BackendError("out of order")


@pytest.mark.parametrize(
    "script",
    [
        raise_out_of_order,
        lambda batch: batch.fail(1, BackendError("out of order")) or batch.senders[0].finish(),
        from_a_thread(lambda sender: sender.fail(BackendError("out of order"))),
        from_a_thread(
            lambda sender: (
                sender.fail(BackendError("out of order"), final=False),
                sender.finish(),
            )
        ),
    ],
)
def test_a_failing_response_fails_the_load(tmp_path, script):
    """With its reason, wherever it came from."""
    with pytest.raises(LoadFailed, match="failed to run warmup sample 'sample': out of order;"):
        decoupled(script, tmp_path, batch=2)


def test_a_rescheduled_sample_is_not_waited_for(tmp_path):
    """Nothing executes it again; what was kept of it does not matter."""
    kept = []

    def script(batch):
        kept.extend(batch.senders)
        batch.reschedule(0)

    iterative = "sequence_batching { iterative_sequence: true }"
    assert decoupled(script, tmp_path, more=iterative).batches == [1]
