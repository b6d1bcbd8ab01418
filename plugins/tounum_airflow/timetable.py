"""The schedule of the nightly run: one partition per batch date."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pendulum
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, Timetable
from airflow.timetables.trigger import CronPartitionTimetable


class BatchDateTimetable(CronPartitionTimetable):
    """Runs at a cron expression's ticks; a run's partition is the local midnight of its day: the batch date.

    Airflow's own partition timetable uses the tick itself, with its hour. Then a backfill to the 17th, which
    ends at midnight, leaves the 17th out, and a run that was triggered by hand for a day (midnight) and the
    scheduled run of that day (02:00) are taken for different partitions.
    """

    def __init__(self, cron: str, *, timezone: Any) -> None:
        super().__init__(cron, timezone=timezone, key_format="%Y-%m-%d")

    def serialize(self) -> dict[str, Any]:
        """Return what ``deserialize`` needs, as JSON."""
        stored = super().serialize()
        return {name: stored[name] for name in ("expression", "timezone")}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Restore a timetable from ``serialize``'s result."""
        return cls(data["expression"], timezone=data["timezone"])

    def _midnight(self, day: dt.date) -> pendulum.DateTime:
        return pendulum.datetime(day.year, day.month, day.day, tz=self._timezone).in_timezone("UTC")

    def _get_partition_date(self, *, run_date: pendulum.DateTime) -> pendulum.DateTime:
        return self._midnight(run_date.in_timezone(self._timezone).date())

    def _decode_partition_date(self, partition_key: str) -> dt.datetime:
        try:
            day = dt.date.fromisoformat(partition_key)
        except ValueError as error:
            raise InvalidPartitionKeyError(f"Partition key {partition_key!r} is no date: {error}") from error
        if day.isoformat() != partition_key:
            raise InvalidPartitionKeyError(f"Partition key {partition_key!r} must be written YYYY-MM-DD")
        return self._midnight(day)

    def iter_partition_dagrun_infos(self, *, earliest: dt.datetime, latest: dt.datetime) -> Iterable[DagRunInfo]:
        """Yield one run for each local midnight from ``earliest`` through the day of ``latest``.

        Only the calendar reading of the bounds counts, as in Airflow's own timetables: midnight in UTC, which
        a form or the command line sends, means midnight of that date here. ``earliest`` is not rounded down:
        from 01:00 on, its day is left out.
        """
        day = earliest.date() if earliest.time() == dt.time() else earliest.date() + dt.timedelta(days=1)
        while day <= latest.date():
            midnight = self._midnight(day)
            yield DagRunInfo(
                run_after=midnight,
                data_interval=None,
                partition_date=midnight,
                partition_key=self._format_key(midnight),
            )
            day += dt.timedelta(days=1)
