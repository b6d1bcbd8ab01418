"""The one file of this folder that Airflow executes at start-up: it registers what Airflow finds by name."""

from airflow.plugins_manager import AirflowPlugin

from tounum_airflow.deadline import ScheduledTime
from tounum_airflow.priority import NightFirst
from tounum_airflow.timetable import BatchDateTimetable
from tounum_airflow.web.lazy import LazyApp

ICONS = {"icon": "tounum/static/icon.svg", "icon_dark_mode": "tounum/static/icon_dark.svg"}


class TounumPlugin(AirflowPlugin):
    """Registers timetable, priorities and deadlines: a DAG that uses them can be read from the database only so."""

    name = "tounum"
    timetables = [BatchDateTimetable]  # noqa: RUF012 - Airflow reads a plain class attribute
    priority_weight_strategies = [NightFirst]  # noqa: RUF012
    deadline_references = [ScheduledTime]  # noqa: RUF012
    fastapi_apps = [{"app": LazyApp(), "url_prefix": "/tounum", "name": "TouNum"}]  # noqa: RUF012
    # Without a slash in front, addresses are right below any prefix of the web UI.
    external_views = [  # noqa: RUF012
        {
            "name": "TouNum",
            "href": "tounum/nights",
            "destination": "nav",
            "url_route": "tounum",
            "nav_top_level": True,
            **ICONS,
        },
        {
            "name": "Images",
            "href": "tounum/nights?dag={DAG_ID}&run={RUN_ID}",
            "destination": "dag_run",
            "url_route": "tounum_run",
            **ICONS,
        },
        {
            "name": "Images",
            "href": "tounum/task?dag={DAG_ID}&run={RUN_ID}&task={TASK_ID}&map={MAP_INDEX}",
            "destination": "task_instance",
            "url_route": "tounum_task",
            **ICONS,
        },
    ]
