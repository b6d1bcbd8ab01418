"""The services of docker-compose.yaml as native processes, and what happens when they are killed."""
