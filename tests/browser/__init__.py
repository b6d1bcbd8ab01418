"""The pages in Airflow's web UI, in a real browser against a real Airflow."""
