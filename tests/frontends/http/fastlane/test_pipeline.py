"""Inferences of one connection side by side, and the order of their answers."""

import asyncio

import pytest

from inferd.errors import NotFound
from inferd.frontends.http.fastlane.pipeline import MAX_PIPELINED


@pytest.fixture
def fast_lane():
    """Return that the server has its fast lane."""
    return True


async def test_pipelined_requests_run_side_by_side(connect, build, dataplane, value_of):
    """Requests sent together can be batched together, up to a limit."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(b"".join(build.infer(float(n)) for n in range(MAX_PIPELINED + 3)))
        await dataplane.started.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(dataplane.requests) == MAX_PIPELINED
        dataplane.gate.set()
        answers = [value_of(await connection.response()) for _ in range(MAX_PIPELINED + 3)]
    assert answers == list(range(MAX_PIPELINED + 3))


async def test_pipelined_requests_hold_only_so_much(connect, build, dataplane):
    """No further request is begun while those that run have large tensors."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer_binary(1.5, size=150_000) * 3)
        await dataplane.started.wait()
        while len(dataplane.requests) < 2:  # noqa: ASYNC110 - nothing tells of the second
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(dataplane.requests) == 2
        dataplane.gate.set()
        assert [(await connection.response())[0] for _ in range(3)] == [200] * 3


async def test_some_requests_have_to_be_awaited(connect, build, dataplane, value_of):
    """A model may need more than a place in a queue; its answers keep their order, too."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0))
        await dataplane.started.wait()
        dataplane.direct = False
        connection.send(build.infer(2.0) + build.infer(3.0))
        dataplane.gate.set()
        assert [value_of(await connection.response()) for _ in range(3)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("direct", [True, False])
async def test_errors_keep_their_place(connect, build, dataplane, direct):
    """What goes wrong with one request is told in its turn, and the others are answered."""
    dataplane.direct = direct
    async with connect() as connection:
        connection.send(
            build.infer(1.0)
            + build.post(b"{")
            + build.post(b"{", path=b"/v2/models/none/infer")
            + build.infer(2.0)
        )
        assert [(await connection.response())[0] for _ in range(4)] == [200, 500, 404, 200]


async def test_a_lone_request_does_not_wait_for_the_turn(connect, build, dataplane):
    """What is all that the clients wait for is executed at once; with others around it is not."""
    async with connect() as connection:
        connection.send(build.infer(1.0))
        await connection.response()
        assert dataplane.turns_ended == 1
        connection.send(build.infer(1.0) * 2)
        await connection.response()
        await connection.response()
        assert dataplane.turns_ended == 1
        async with connect() as other:
            other.send(build.infer(1.0))
            await other.response()
    assert dataplane.turns_ended == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFound("no"), 404), (asyncio.CancelledError(), 400), (ZeroDivisionError(), 500)],
)
async def test_what_goes_wrong_later_is_told(connect, build, dataplane, error, status):
    """A request may fail after it was queued."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0) + build.infer(2.0))
        await dataplane.started.wait()
        first, second = dataplane.answering
        dataplane.answering[first].cancel()
        first.future.set_exception(error)
        dataplane.gate.set()
        assert (await connection.response())[0] == status
        assert (await connection.response())[0] == 200
    assert second.future.done()


async def test_answers_out_of_order_wait_for_their_turn(connect, build, dataplane, value_of):
    """A later request may be done first; its answer follows the earlier one's."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0) + build.post(b"{") + build.infer(2.0))
        await dataplane.started.wait()
        dataplane.gate.set()
        assert value_of(await connection.response()) == 1.0
        assert (await connection.response())[0] == 500
        assert value_of(await connection.response()) == 2.0
