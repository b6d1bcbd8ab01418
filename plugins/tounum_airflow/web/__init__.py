"""The pages in Airflow's web UI: what was scanned, what it became, what is doubtful, and a key to correct it."""
