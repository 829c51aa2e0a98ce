"""Tests of the metrics service."""

import asyncio

import aiohttp
import pytest

from inferd.scheduling.statistics import ModelStatistics
from inferd.telemetry.http import MetricsServer
from inferd.telemetry.instruments import ModelSeries
from inferd.telemetry.metrics import Metrics


@pytest.fixture
def models():
    """The loaded model versions."""
    return [ModelSeries(f"m{index}", "1", {}, ModelStatistics()) for index in range(9)]


@pytest.fixture
async def server(models):
    """A metrics service on a free port."""
    metrics = Metrics(lambda: models, cpu_metrics=False)
    server = MetricsServer(metrics, address="127.0.0.1", port=0)
    await server.start()
    yield server
    await server.stop()
    metrics.close()


async def ask(server, path, method="GET"):
    """Return status, content type and body of one request."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{server.port}{path}") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.read()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics?name=x"])
async def test_metrics(server, path):
    """A scrape gets the metrics of every model as plain text."""
    status, kind, body = await ask(server, path)
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert body.count(b"nv_inference_count{") == 9


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/v2/health/ready"])
async def test_any_other_path_is_empty(server, path):
    """Any other path is answered 200 with nothing in it, as Triton does."""
    assert await ask(server, path) == (200, "text/plain; charset=utf-8", b"")


@pytest.mark.parametrize("path", ["/metrics", "/"])
async def test_wrong_method(server, path):
    """Only GET is allowed."""
    assert await ask(server, path, "POST") == (
        405,
        "application/json",
        b'{"error":"Method Not Allowed"}',
    )


async def test_overlapping_scrapes(server):
    """Scrapes at the same time all get the whole text."""
    answers = await asyncio.gather(*(ask(server, "/metrics") for _ in range(5)))
    assert len(set(answers)) == 1


async def test_failure_tells_no_detail(server, models, caplog):
    """A scrape that fails is answered 500 without detail, and the reason is logged."""
    models.append(None)
    status, _, body = await ask(server, "/metrics")
    assert (status, body) == (500, b'{"error":"internal error"}')
    assert "failed to render the metrics" in caplog.text


async def test_port_in_use(server):
    """A port that is taken is the caller's to report, and nothing is left open."""
    other = MetricsServer(server._metrics, address="127.0.0.1", port=server.port)
    with pytest.raises(OSError, match="in use"):
        await other.start()
    await other.stop()


async def test_shared_port(models):
    """Two services may share a port when told to."""
    metrics = Metrics(lambda: models, cpu_metrics=False)
    first = MetricsServer(metrics, address="127.0.0.1", port=0, reuse_port=True)
    await first.start()
    second = MetricsServer(metrics, address="127.0.0.1", port=first.port, reuse_port=True)
    await second.start()
    assert second.port == first.port
    await second.stop()
    await first.stop()
    metrics.close()


async def test_stop_frees_the_port(server):
    """After stopping nobody listens, and stopping twice does no harm."""
    await server.stop()
    await server.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(server, "/metrics")
