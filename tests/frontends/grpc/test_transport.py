"""Which transport is chosen."""

import sys

import pytest

from inferd.errors import ConfigError


@pytest.fixture
def not_built(monkeypatch):
    """An installation without the kernel."""
    monkeypatch.setitem(sys.modules, "inferd.frontends.grpc.native", None)


async def test_what_is_asked_for_is_chosen(start_server, transport):
    """Each by its name."""
    assert (await start_server()).transport == transport


async def test_auto_is_the_fastest_there_is(start_server, transport):
    """The native one where it is built."""
    if transport == "native":
        assert (await start_server(transport="auto")).transport == "native"


async def test_auto_falls_back_with_a_warning(start_server, not_built, caplog):
    """One line says what to install."""
    server = await start_server(transport="auto")
    assert server.transport == "python"
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "libnghttp2-dev" in warning.getMessage()


async def test_a_transport_that_is_not_built_is_an_error(start_server, not_built):
    """Asked for by name, it is not replaced silently."""
    with pytest.raises(ConfigError, match=r"--grpc-transport: .*libnghttp2-dev"):
        await start_server(transport="native")
