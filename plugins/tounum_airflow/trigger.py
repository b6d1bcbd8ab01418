"""The deferred half of the sensor: runs in the triggerer, where one process waits for all."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.intake.readiness import Scan, scan
from tounum_tasks.settings import load_settings
from tounum_tasks.store.open import open_storage

MIN_POLL_SECONDS = 1.0
MAX_POLL_SECONDS = 30.0


def look() -> Scan:
    """Look at the ingest root once, with the settings of this process."""
    settings = load_settings()
    ingest = open_storage(settings.ingest_root, untrusted=True)
    return scan(
        ingest,
        quiet_seconds=settings.quiet_seconds,
        now_ns=time.time_ns(),
        ignore=settings.ignored_patterns,
    )


class IngestSettledTrigger(BaseTrigger):
    """Fires when nothing in ingest is settling any more, or at ``deadline``.

    Args:
        deadline: ISO date and time with zone; fixed when the task deferred, so that a restart does not
        prolong it.
    """

    def __init__(self, deadline: str) -> None:
        super().__init__()
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which another process rebuilds the trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"deadline": self.deadline}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every few seconds; yield one event, whose ``waiting`` says which batches must wait and why."""
        deadline = dt.datetime.fromisoformat(self.deadline)
        poll = min(max(load_settings().quiet_seconds / 10, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
        told: set[str] = set()
        while True:
            try:
                waiting = (await asyncio.to_thread(look)).waiting
            except EnvironmentFault as fault:
                # The task looks once more when it resumes, and fails or retries there, where the log is
                # complete.
                yield TriggerEvent({"waiting": [str(fault)]})
                return
            if not waiting or dt.datetime.now(dt.UTC) >= deadline:
                yield TriggerEvent({"waiting": list(waiting)})
                return
            # The sentences count seconds; each batch is named once.
            for sentence in waiting:
                if (batch := sentence.partition(" must wait")[0]) not in told:
                    told.add(batch)
                    self.log.info("%s", sentence)
            left = (deadline - dt.datetime.now(dt.UTC)).total_seconds()
            await asyncio.sleep(max(0.1, min(poll, left)))
