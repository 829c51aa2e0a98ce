"""The application's side of a shared connection."""

import asyncio

import pytest


@pytest.fixture
def fast_lane():
    """Return that the server has its fast lane."""
    return True


async def test_a_body_beyond_its_buffer_reaches_the_application(connect, build):
    """The application paces a long body as it does on a connection of its own."""
    body = b'{"parameters": {"config": "%s"}}' % (b" " * (1 << 19))
    request = build.post(body, path=b"/v2/repository/models/m/load")
    async with connect() as connection:
        for at in range(0, len(request), 10_000):
            connection.send(request[at : at + 10_000])
            await asyncio.sleep(0)
        assert (await connection.response())[0] in (200, 400)
        connection.send(build.infer(1.0))
        assert (await connection.response())[0] == 200


async def test_a_body_nobody_reads_is_skipped(connect, build):
    """The connection goes on behind a body that the application did not look at."""
    async with connect() as connection:
        connection.send(build.post(b"x" * 1000, path=b"/none") + build.infer(1.0))
        assert (await connection.response())[0] == 404
        assert (await connection.response())[0] == 200


async def test_an_answer_before_the_end_of_the_body(connect, build):
    """The application may answer before it has seen the whole body."""
    request = build.post(b"x" * 1000, path=b"/none")
    async with connect() as connection:
        connection.send(request[:-10])
        assert (await connection.response())[0] == 404
        connection.send(request[-10:] + build.infer(1.0))
        assert (await connection.response())[0] == 200


async def test_an_upgrade_that_is_declined(connect, build):
    """A client that asks for another protocol is answered in this one."""
    async with connect() as connection:
        connection.send(
            build.get(b"/v2/health/live", b"Connection: upgrade", b"Upgrade: websocket")
            + build.infer(1.0)
        )
        assert (await connection.response())[0] == 200
        assert (await connection.response())[0] == 200
