"""Every outcome reaches its client and is counted once, under the right reason."""

import asyncio
import concurrent.futures
from types import SimpleNamespace

import pytest

from inferd.errors import BackendError, DeadlineExceeded, InvalidRequest, QueueFull, QueueTimeout
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.execution import Execution
from inferd.scheduling.settlement import (
    failure_reason,
    record_cancelled,
    record_failure,
    settle,
    settle_batch,
)
from inferd.scheduling.statistics import Duration, ModelStatistics


@pytest.fixture(name="waiting")
async def _waiting():
    """A request that arrived at 10 and was queued at 20."""
    future = asyncio.get_running_loop().create_future()
    request = InferRequest("m", {}, received_ns=10)
    return SimpleNamespace(request=request, enqueued_ns=20, future=future)


def execution():
    """An execution with a stamp every 10 ns from 30 to 60."""
    done = Execution(30)
    done.gathered_ns, done.executed_ns, done.end_ns = 40, 50, 60
    return done


async def test_an_answer_is_delivered_and_its_times_counted(waiting):
    """From the arrival, not from the queue."""
    statistics, response = ModelStatistics(), InferResponse("m", "1", [])
    settle(statistics, waiting, response, execution())

    assert await waiting.future is response
    assert (statistics.success, statistics.queue) == (Duration(1, 50), Duration(1, 10))
    assert statistics.compute_infer == Duration(1, 10)


def test_a_batch_is_counted_as_its_requests_would_be_one_by_one():
    """Answered, failed and given up, with every time the statistics have."""
    waiting = [
        SimpleNamespace(
            request=InferRequest("m", {}, received_ns=received_ns),
            enqueued_ns=1_000 * index,
            future=concurrent.futures.Future(),
        )
        for index, received_ns in enumerate((0, 300, 1_999, 0, 2_500))
    ]
    done = Execution(7_777)
    done.gathered_ns, done.executed_ns, done.end_ns = 9_000, 12_345, 17_001
    done.answers = [InferResponse("m", str(index), []) for index in range(5)]
    done.answers[1] = BackendError("no")
    waiting[2].future.cancel()
    apart, together = ModelStatistics(), ModelStatistics()
    settle_batch(together, waiting, done)
    assert [one.future.result().model_version for one in (waiting[0], *waiting[3:])] == list("034")
    assert isinstance(waiting[1].future.exception(), BackendError)

    for one, answer in zip(waiting, done.answers, strict=True):
        one.future = concurrent.futures.Future()
        if answer is done.answers[2]:
            one.future.cancel()
        settle(apart, one, answer, done)
    assert together == apart
    assert (together.success.count, together.failures["CANCELED"]) == (3, 1)


def test_a_batch_of_failures_has_no_successes():
    """Not even the durations of none."""
    statistics, future = ModelStatistics(), concurrent.futures.Future()
    done = execution()
    done.answers = [BackendError("no")]
    waiting = SimpleNamespace(request=InferRequest("m", {}), enqueued_ns=20, future=future)
    settle_batch(statistics, [waiting], done)
    assert (statistics.success, statistics.fail) == (Duration(), Duration(1, 40))


async def test_an_error_is_delivered_and_counted(waiting):
    """With the reason of its class."""
    statistics = ModelStatistics()
    settle(statistics, waiting, BackendError("no"), execution())

    with pytest.raises(BackendError, match="no"):
        await waiting.future
    assert (statistics.failures["BACKEND"], statistics.fail) == (1, Duration(1, 50))


async def test_a_client_that_is_gone_is_not_settled_again(waiting):
    """Its answer is dropped, and nobody else is disturbed."""
    statistics = ModelStatistics()
    waiting.future.cancel()
    settle(statistics, waiting, InferResponse("m", "1", []), execution())

    assert (statistics.failures["CANCELED"], statistics.success.count) == (1, 0)


async def test_a_request_without_an_arrival_counts_from_the_queue(waiting):
    """Requests made inside the server have no frontend that stamps them."""
    statistics = ModelStatistics()
    waiting.request.received_ns = 0
    record_failure(statistics, waiting, "OTHER", 60)

    assert statistics.fail == Duration(1, 40)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncio.CancelledError(), "CANCELED"),
        (QueueFull("x"), "REJECTED"),
        (QueueTimeout("x"), "REJECTED"),
        (BackendError("x"), "BACKEND"),
        (InvalidRequest("x"), "OTHER"),
        (ValueError("x"), "OTHER"),
    ],
)
def test_the_reason_of_a_failure(error, reason):
    """As Triton's ``reason`` label has it."""
    assert failure_reason(error) == reason


@pytest.mark.parametrize(
    ("deadline_ns", "reason"),
    [(0, "CANCELED"), (60, "REJECTED"), (2_000_060, "REJECTED"), (2_000_061, "CANCELED")],
)
async def test_a_request_taken_back_at_its_deadline_counts_as_rejected(
    waiting, deadline_ns, reason
):
    """Whose timer was the first to notice says nothing, and timers may be 2 ms early."""
    statistics = ModelStatistics()
    waiting.request.deadline_ns = deadline_ns
    record_cancelled(statistics, waiting, 60)

    assert statistics.failures[reason] == 1
    assert statistics.fail == Duration(1, 50)


async def test_a_client_that_is_gone_at_its_deadline_is_rejected(waiting):
    """The queue noticed in the same turn of the loop."""
    statistics = ModelStatistics()
    waiting.future.cancel()
    settle(statistics, waiting, DeadlineExceeded("late"), Execution(60))

    assert (statistics.failures["REJECTED"], statistics.failures["CANCELED"]) == (1, 0)
