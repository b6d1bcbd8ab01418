"""The one file of this folder that Airflow executes at start-up: it registers what Airflow finds by name."""

from airflow.plugins_manager import AirflowPlugin

from tounum_airflow.deadline import ScheduledTime
from tounum_airflow.priority import NightFirst
from tounum_airflow.timetable import BatchDateTimetable


class TounumPlugin(AirflowPlugin):
    """Registers timetable, priorities and deadlines: a DAG that uses them can be read from the database only so."""

    name = "tounum"
    timetables = [BatchDateTimetable]  # noqa: RUF012 - Airflow reads a plain class attribute
    priority_weight_strategies = [NightFirst]  # noqa: RUF012
    deadline_references = [ScheduledTime]  # noqa: RUF012
