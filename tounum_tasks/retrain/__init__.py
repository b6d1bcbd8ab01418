"""Retraining as a service: prepare, train, evaluate, compare with production, promote, tidy; all without Airflow."""
