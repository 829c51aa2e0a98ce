"""The limits of a connection, as they are when nobody chose."""

from dataclasses import FrozenInstanceError

import pytest

from inferd.config import ServerConfig
from inferd.frontends.http.limits import Limits


def test_the_defaults_are_the_options():
    """A server made by hand has the limits of one from the command line."""
    config = ServerConfig(model_repositories=("/models",))
    assert Limits() == Limits(
        head_bytes=config.http_max_head_size,
        chunk_line_bytes=config.http_max_chunk_line_size,
        head_seconds=config.http_head_timeout_secs,
        body_seconds=config.http_body_timeout_secs,
        idle_seconds=config.http_idle_timeout_secs,
    )


def test_limits_do_not_change():
    """Connections share them."""
    with pytest.raises(FrozenInstanceError):
        Limits().head_bytes = 1
