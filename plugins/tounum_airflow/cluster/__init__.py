"""What the services of docker-compose.yaml need beside Airflow: the file of secrets, preparation, health checks."""
