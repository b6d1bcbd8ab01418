"""The one file of this folder that Airflow executes at start-up: it registers what Airflow finds by name."""

from airflow.plugins_manager import AirflowPlugin

from tounum_airflow.priority import NightFirst
from tounum_airflow.timetable import BatchDateTimetable


class TounumPlugin(AirflowPlugin):
    """Registers timetable and priorities, without which a DAG that uses them could not be read from the database."""

    name = "tounum"
    timetables = [BatchDateTimetable]  # noqa: RUF012 - Airflow reads a plain class attribute
    priority_weight_strategies = [NightFirst]  # noqa: RUF012
