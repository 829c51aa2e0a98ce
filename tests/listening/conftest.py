"""Runs the asynchronous tests of this folder on both event loops the server may have."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Return what makes the loops, by name."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
