"""What needs Airflow. Domain logic lives in ``tounum_tasks``, which never imports it."""
