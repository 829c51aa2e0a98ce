"""Tests of listening, on both event loops."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat

import pytest

from inferd.listening import listener as listener_module
from inferd.listening.listener import listen
from inferd.listening.tls import TlsFiles, server_context


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    made: "list[Echo]"

    def connection_made(self, transport):
        """Keep the transport."""
        self.transport = transport
        self.made.append(self)

    def data_received(self, data):
        """Answer."""
        self.transport.write(data)


@pytest.fixture(name="factory")
def _factory():
    """A factory of echoing protocols with a list of those it made."""
    return type("OneEcho", (Echo,), {"made": []})


@pytest.fixture(name="start")
async def _start(factory):
    """Listen on loopback; closed at the end."""
    opened = []

    async def start(address="127.0.0.1", port=0, **more):
        opened.append(await listen(factory, address, port, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    for connection in factory.made:
        connection.transport.abort()
    await asyncio.sleep(0)


async def echoed(reader, writer):
    """Return what comes back, and close."""
    writer.write(b"hello")
    data = await reader.readexactly(5)
    writer.close()
    return data


async def answers(address, port=0, **more):
    """Tell whether a connection is served."""
    if isinstance(address, os.PathLike):
        return await echoed(*await asyncio.open_unix_connection(str(address), **more)) == b"hello"
    return await echoed(*await asyncio.open_connection(address, port, **more)) == b"hello"


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", ""])
async def test_a_free_port_is_told(start, address):
    """Port 0 is whatever the system chose, the same on every address of the host."""
    made = await start(address)
    assert made.port
    assert await answers("127.0.0.1", made.port)


def has_ipv6():
    """Tell whether this machine has IPv6 on loopback."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
async def test_every_address_has_the_same_port(start):
    """A free port that is picked for one family is listened on in the other, too."""
    made = await start("")
    assert await answers("127.0.0.1", made.port)
    assert await answers("::1", made.port)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
async def test_each_family_may_have_its_own_server(start):
    """Listening on :: leaves the port of 0.0.0.0 alone."""
    made = await start("::")
    assert (await start("0.0.0.0", made.port)).port == made.port


async def test_connections_do_not_wait_for_more_bytes(start, factory):
    """TCP_NODELAY is set: a small answer leaves at once."""
    made = await start()
    assert await answers("127.0.0.1", made.port)
    accepted = factory.made[0].transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_taken_port(start):
    """The error says where, and its number tells it from others."""
    made = await start()
    with pytest.raises(OSError, match=f"127.0.0.1:{made.port}: address already in use") as caught:
        await start(port=made.port)
    assert caught.value.errno == errno.EADDRINUSE


async def test_a_port_shared_on_purpose(start):
    """Two that both say so may have one port; a third that does not is refused."""
    made = await start(reuse_port=True)
    assert (await start(port=made.port, reuse_port=True)).port == made.port
    with pytest.raises(OSError, match="address already in use"):
        await start(port=made.port)


async def test_an_address_of_another_machine(start):
    """An address this machine lacks is an error that says so."""
    with pytest.raises(OSError, match="cannot assign requested address") as caught:
        await start("192.0.2.1")
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_an_unknown_host(start):
    """A name nobody knows is an OSError, too."""
    with pytest.raises(OSError, match="known"):
        await start("no.such.host.invalid")


async def test_a_closed_port_is_free(start):
    """And connections that are open stay."""
    made = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    made.close()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", made.port)
    assert await echoed(reader, writer) == b"hello"


async def test_a_unix_socket(start, tmp_path):
    """It is for its user and group only, and gone when it is closed."""
    path = tmp_path / "s"
    made = await start(f"unix://{path}", 8000)
    assert made.port == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert await answers(path)
    made.close()
    assert not path.exists()
    made.close()


async def test_a_unix_socket_that_nobody_listens_on_is_replaced(start, tmp_path):
    """A server that was killed leaves its file."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    await start(f"unix://{path}")
    assert await answers(path)


async def test_a_unix_socket_that_somebody_listens_on_is_left(start, tmp_path):
    """The live server goes on."""
    path = tmp_path / "s"
    await start(f"unix://{path}")
    with pytest.raises(OSError, match=f"{path}: address already in use") as caught:
        await start(f"unix://{path}")
    assert caught.value.errno == errno.EADDRINUSE
    assert await answers(path)


async def test_a_server_that_is_overrun_is_alive(start, tmp_path):
    """A full backlog does not make a socket a stale one."""
    path = tmp_path / "s"
    with contextlib.ExitStack() as opened:
        busy = opened.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = opened.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        with pytest.raises(OSError, match="address already in use"):
            await start(f"unix://{path}")


async def test_other_files_are_left(start, tmp_path):
    """A file is never replaced by a socket."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="file exists and is not a socket"):
        await start(f"unix://{path}")
    assert path.read_text() == "precious"


async def test_a_missing_folder(start, tmp_path):
    """The folder is the operator's to make."""
    with pytest.raises(OSError, match="no such file or directory"):
        await start(f"unix://{tmp_path}/no/s")


async def test_the_file_of_a_successor_is_left(start, tmp_path):
    """A server that ends removes its own file only."""
    path = tmp_path / "s"
    made = await start(f"unix://{path}")
    path.unlink()
    await start(f"unix://{path}")
    made.close()
    assert await answers(path)


@pytest.fixture(name="tls")
def _tls(server_pair):
    """The context of a server."""
    return server_context(TlsFiles("grpc", server_pair.certificate, server_pair.key), ["h2"])


@pytest.fixture(name="trusting")
def _trusting(authority):
    """The context of a client."""
    made = ssl.create_default_context(cafile=authority.root)
    made.set_alpn_protocols(["h2"])
    return made


async def test_tls(start, tls, trusting, tmp_path):
    """TLS works on ports and on Unix sockets."""
    made = await start(tls=tls)
    assert await answers("localhost", made.port, ssl=trusting)
    path = tmp_path / "s"
    await start(f"unix://{path}", tls=tls)
    assert await answers(path, ssl=trusting, server_hostname="localhost")


async def test_plain_text_to_a_tls_port_disturbs_nobody(start, tls, trusting, caplog):
    """It is cut off without a line in the log, and others are served."""
    made = await start(tls=tls)
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await answers("localhost", made.port, ssl=trusting)
    await reader.read()
    writer.close()
    assert caplog.records == []


async def test_a_client_that_never_shakes_hands_is_cut_off(
    start, tls, trusting, monkeypatch, caplog
):
    """It cannot hold a connection for ever."""
    monkeypatch.setattr(listener_module, "_HANDSHAKE_SECONDS", 0.05)
    made = await start(tls=tls)
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    assert await reader.read() == b""
    writer.close()
    assert caplog.records == []
