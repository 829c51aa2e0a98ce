"""
Keeps the registry in step with the repositories, in control mode ``poll``.

One failing model never stops it: the registry logs the failure and, where the model served
before, its old versions go on.
"""

import asyncio
import logging
import time

from inferd.models.registry import ModelRegistry
from inferd.repository.catalog import Catalog
from inferd.repository.changes import Changes, compare
from inferd.repository.fingerprint import Fingerprint

logger = logging.getLogger(__name__)


class Poller:
    """
    Looks at the repositories from time to time.

    Args:
        catalog: The repositories.
        registry: What loads and unloads.
        interval_s: Seconds between two looks.
        seen: What the folders looked like when the registry loaded them.
    """

    def __init__(
        self,
        catalog: Catalog,
        registry: ModelRegistry,
        interval_s: float,
        seen: dict[str, Fingerprint],
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._interval_s = interval_s
        self._seen = seen
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop polling; a load that has begun is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def poll(self) -> Changes:
        """Look once and act on what changed."""
        after = await asyncio.to_thread(self._catalog.snapshot)
        changes = compare(self._seen, after, time.time_ns())
        self._seen = changes.seen
        for name in changes.unload:
            await self._registry.forget(name)
        await self._registry.load_all(changes.load)
        return changes

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.poll()
            except OSError as error:
                logger.error("failed to poll the model repositories: %s", error)
            except Exception:
                logger.exception("polling the model repositories raised")
