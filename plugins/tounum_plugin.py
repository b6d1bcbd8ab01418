"""The one file of this folder that Airflow executes at start-up: it registers what Airflow finds by name."""

from airflow.plugins_manager import AirflowPlugin

from tounum_airflow.timetable import BatchDateTimetable


class TounumPlugin(AirflowPlugin):
    """Registers the timetable, without which a DAG that uses it could not be read back from the database."""

    name = "tounum"
    timetables = [BatchDateTimetable]  # noqa: RUF012 - Airflow reads a plain class attribute
