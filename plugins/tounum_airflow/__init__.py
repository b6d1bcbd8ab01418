"""What needs Airflow. Domain logic lives in ``tounum_tasks``, which never imports it."""

from tounum_airflow.storage_credentials import from_connection
from tounum_tasks.object_storage import take_credentials_from
from tounum_tasks.storage import forbid_world_writing

take_credentials_from(from_connection)
forbid_world_writing()
