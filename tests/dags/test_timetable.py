"""The schedule: partitions are local midnights, in every zone, also where a midnight does not exist."""

import datetime as dt
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from tounum_airflow.timetable import BatchDateTimetable

ZONES = ["UTC", "Europe/Berlin", "Asia/Taipei", "Africa/Cairo", "America/Los_Angeles", "Pacific/Apia"]
NIGHTLY = "0 2 * * *"


def timetable(zone: str = "UTC") -> BatchDateTimetable:
    return BatchDateTimetable(NIGHTLY, timezone=zone)


def test_backfill_includes_both_days_of_its_bounds() -> None:
    infos = timetable().iter_partition_dagrun_infos(
        earliest=pendulum.datetime(2026, 1, 16), latest=pendulum.datetime(2026, 1, 17)
    )
    assert [info.partition_key for info in infos] == ["2026-01-16", "2026-01-17"]


def test_from_is_not_rounded_down() -> None:
    infos = timetable().iter_partition_dagrun_infos(
        earliest=pendulum.datetime(2026, 1, 16, 1), latest=pendulum.datetime(2026, 1, 17, 23)
    )
    assert [info.partition_key for info in infos] == ["2026-01-17"]


@pytest.mark.parametrize("zone", ZONES)
def test_scheduled_run_and_run_for_its_key_have_one_partition(zone: str) -> None:
    info = scheduled(zone)
    assert info.partition_key == info.run_after.astimezone(ZoneInfo(zone)).date().isoformat()
    assert timetable(zone).resolve_partition_date(info.partition_key) == info.partition_date


def scheduled(zone: str) -> DagRunInfo:
    info = timetable(zone).next_dagrun_info_v2(last_dagrun_info=None, restriction=TimeRestriction(None, None, False))
    assert info is not None
    return info


@given(day=st.dates(dt.date(2000, 1, 1), dt.date(2050, 1, 1)), days=st.integers(0, 40), zone=st.sampled_from(ZONES))
def test_backfill_yields_each_day_once_and_its_key_leads_back(day: dt.date, days: int, zone: str) -> None:
    last = day + dt.timedelta(days=days)
    table = timetable(zone)
    infos = list(
        table.iter_partition_dagrun_infos(
            earliest=pendulum.datetime(day.year, day.month, day.day),
            latest=pendulum.datetime(last.year, last.month, last.day),
        )
    )
    assert [info.partition_key for info in infos] == [
        (day + dt.timedelta(days=number)).isoformat() for number in range(days + 1)
    ]
    assert [table.resolve_partition_date(info.partition_key) for info in infos] == [
        info.partition_date for info in infos
    ]


@pytest.mark.parametrize("key", ["2026-1-5", "20260105", "2026-02-30", "yesterday", "", "2026-01-05T00:00:00"])
def test_malformed_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidPartitionKeyError):
        timetable().resolve_partition_date(key)


def test_survives_serialization() -> None:
    restored = BatchDateTimetable.deserialize(timetable("Europe/Berlin").serialize())
    assert restored == timetable("Europe/Berlin")
    assert restored != timetable("UTC")
