"""The first task of the nightly run: waits, without holding a worker, until ingest has settled."""

import datetime as dt
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.context import Context

from tounum_airflow.request import waits_for_ingest


class IngestSettledSensor(BaseOperator):
    """Waits in a scheduled run until no batch in ingest is settling, at most the setting ``wait_minutes``.

    Other runs do not wait: who triggers by hand wants what is ready now, and backfills and cleared runs do
    not read ingest at all. The log names each batch that has to wait for a later run, and why.
    """

    ui_color = "#d9e8f5"

    def execute(self, context: Context) -> None:
        """Return at once when there is nothing to wait for, else defer."""
        from tounum_tasks.settings import load_settings

        settings = load_settings()
        if not waits_for_ingest(context["dag_run"], settings):
            self.log.info("Only a scheduled run for today waits for ingest; this one goes on with what is ready.")
            return
        from tounum_airflow.trigger import IngestSettledTrigger, look

        scan = look()
        if not scan.waiting:
            self.log.info("Nothing in ingest is settling; batches ready: %d.", len(scan.ready))
            return
        for sentence in scan.waiting:
            self.log.info("%s", sentence)
        wait = dt.timedelta(minutes=settings.wait_minutes)
        self.log.info("Waiting at most %g minutes for them.", settings.wait_minutes)
        self.defer(
            trigger=IngestSettledTrigger(deadline=(dt.datetime.now(dt.UTC) + wait).isoformat()), method_name="resume"
        )

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """Say what the wait came to."""
        if not event["waiting"]:
            self.log.info("Everything in ingest has settled.")
        for sentence in event["waiting"]:
            self.log.warning("Left for a later run. %s", sentence)
