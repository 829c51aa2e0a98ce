"""Tests of addresses and exit codes of the client commands."""

import argparse

import pytest

from inferd.cli.clients.client import ClientError, UsageError
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command
from inferd.cli.clients.grpc import GrpcClient
from inferd.cli.clients.http import HttpClient
from inferd.cli.clients.tls import ClientTls


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (None, "http://localhost:8000"),
        ("box", "http://box:8000"),
        ("box:80", "http://box:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("http://box:80/triton/", "http://box:80/triton"),
        ("https://box", "https://box:443"),
    ],
)
async def test_http_address(url, address):
    """Host, port, scheme and path may be left out."""
    async with connect("http", url) as client:
        assert isinstance(client, HttpClient)
        assert client._url == address


@pytest.mark.parametrize(
    ("url", "address"),
    [(None, "localhost:8001"), ("box:80", "box:80"), ("grpc://box", "box:8001")],
)
async def test_grpc_address(url, address):
    """gRPC has a default port of its own."""
    async with connect("grpc", url) as client:
        assert isinstance(client, GrpcClient)
        assert client._address == address


@pytest.mark.parametrize("url", ["unix:///run/s", "unix:/run/s"])
async def test_unix_socket(url):
    """A Unix domain socket is an address of both protocols."""
    async with connect("http", url) as client:
        with pytest.raises(ClientError, match="no HTTP answer from unix:/run/s: "):
            await client.repository_index()
    async with connect("grpc", url) as client:
        with pytest.raises(ClientError, match="no gRPC answer from unix:/run/s: "):
            await client.repository_index()


async def test_encrypted_grpc():
    """grpcs is gRPC over TLS, on the same default port."""
    async with connect("grpc", "grpcs://box") as client:
        assert client._address == "box:8001"
        assert client._channel._ssl is not None


async def test_files_of_tls_are_used():
    """A file that cannot be read is an error of both protocols, where they are encrypted."""
    bad = ClientTls("/no/root")
    for protocol, url in (("http", "https://box"), ("grpc", "grpcs://box")):
        with pytest.raises(UsageError, match="/no/root"):
            connect(protocol, url, bad)
    async with connect("grpc", "box", bad) as client:
        assert client._channel._ssl is None


@pytest.mark.parametrize(
    ("protocol", "url"),
    [
        ("http", "unix://box/s"),
        ("grpc", "unix:"),
        ("http", "box:port"),
        ("http", "grpc://box"),
        ("grpc", "http://box"),
        ("grpc", "box:99999"),
    ],
)
def test_unreadable_address(protocol, url):
    """An address that cannot be meant is a usage error that names it."""
    with pytest.raises(UsageError, match=url):
        connect(protocol, url)


@pytest.mark.parametrize("spelling", ["HTTP", "http", "gRPC"])
def test_protocol_in_any_case(spelling):
    """-i takes the reference client's spellings."""
    parser = argparse.ArgumentParser()
    add_connection_arguments(parser)
    assert parser.parse_args(["-i", spelling]).protocol == spelling.lower()


@pytest.mark.parametrize(
    ("error", "code"), [(None, 0), (ClientError("no"), 1), (UsageError("no"), 2)]
)
def test_exit_codes(error, code, capsys):
    """0 is success, 1 the server's refusal, 2 a wrong command line; each error is one line."""

    async def work():
        if error is not None:
            raise error

    assert run_command("models", work()) == code
    assert capsys.readouterr().err == ("inferd models: no\n" if error else "")
