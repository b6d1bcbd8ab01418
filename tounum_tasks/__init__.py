"""TouNum: measures, improves, classifies, routes and captions the images of scanned archives.

Nothing in this package imports Airflow; the DAGs in ``dags/`` only wire its functions together.
"""

__version__ = "0.2.0"
