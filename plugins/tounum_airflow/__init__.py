"""What needs Airflow. Domain logic lives in ``tounum_tasks``, which never imports it."""

from tounum_airflow.storage_credentials import from_connection
from tounum_tasks.store.folder import forbid_world_writing
from tounum_tasks.store.objects import take_credentials_from

take_credentials_from(from_connection)
forbid_world_writing()
