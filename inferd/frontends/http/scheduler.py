"""
The endpoint that says what a version's scheduler does now, and why its batches closed.

It is no part of Triton's protocol. ``GET /v2/models/<name>[/versions/<version>]/scheduler``
answers, durations in microseconds:

- ``model``, ``version``, ``scheduler`` (``default``, ``dynamic``, ``sequence_direct``,
  ``sequence_oldest`` or ``ensemble``), ``response_cache``, ``in_flight``;
- ``queue``: the priority ``level``s that hold requests, with how many are ``waiting``, how many
  of those ``delayed``, and ``oldest_wait_us``;
- ``instances``: ``count``, ``busy``, whether they execute ``inline`` or each on a ``thread``, and
  ``list``; with sequences, how many slots are used on each;
- ``batches``: those ``executing``, how many closed for which reason since the load (``reasons``),
  how many had which ``sizes``, and the ``last`` ones, the newest first;
- ``sequences``: how many are ``live``, and how many of those wait in the ``backlog``;
- ``steps`` of an ensemble, and how many requests are in each.

What a scheduler does not have is left out.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from inferd.dataplane import DataPlane
from inferd.frontends.http.routes import Route
from inferd.models.scheduler_report import SchedulerReport
from inferd.scheduling.snapshot import Batches, ExecutingBatch, PastBatch, SchedulerSnapshot


class SchedulerEndpoint:
    """
    Answers ``GET .../scheduler``.

    Args:
        dataplane: What knows the schedulers.
    """

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def __call__(self, request: web.BaseRequest, route: Route) -> web.Response:
        """Return the document of a version's scheduler."""
        report = self._dataplane.scheduler_report(route.name, route.version)
        return web.Response(
            body=orjson.dumps(document(report)), headers={"Content-Type": "application/json"}
        )


def document(report: SchedulerReport) -> dict[str, Any]:
    """Return the body of the endpoint."""
    snapshot = report.snapshot
    head = {
        "model": report.model,
        "version": str(report.version),
        "scheduler": report.kind,
        "response_cache": report.cached,
        "in_flight": snapshot.inflight,
    }
    if snapshot.batches is None:
        return {**head, "steps": [asdict(step) for step in snapshot.steps]}
    body: dict[str, Any] = {
        **head,
        "queue": [asdict(level) for level in snapshot.levels],
        "instances": _instances(snapshot, report.instances),
        "batches": _batches(snapshot.batches, report.instances),
    }
    if snapshot.sequences is not None:
        body["sequences"] = asdict(snapshot.sequences)
    return body


def _instances(snapshot: SchedulerSnapshot, names: Sequence[str]) -> dict[str, Any]:
    listed = [
        {"name": name, **{key: value for key, value in asdict(one).items() if value is not None}}
        for name, one in zip(names, snapshot.instances, strict=True)
    ]
    return {
        "count": len(listed),
        "busy": sum(one.busy for one in snapshot.instances),
        "runs": "inline" if snapshot.inline else "thread",
        "list": listed,
    }


def _batches(batches: Batches, names: Sequence[str]) -> dict[str, Any]:
    return {
        "executing": [_named(batch, names) for batch in batches.executing],
        "reasons": batches.closes,
        "sizes": [{"size": size, "count": count} for size, count in batches.sizes.items()],
        "last": [_named(batch, names) for batch in batches.recent],
    }


def _named(batch: ExecutingBatch | PastBatch, names: Sequence[str]) -> dict[str, Any]:
    return {**asdict(batch), "instance": names[batch.instance]}
