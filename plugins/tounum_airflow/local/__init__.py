"""A whole Airflow below one folder, on loopback only: ``make run``, ``make ui`` and the end-to-end tests start it."""
