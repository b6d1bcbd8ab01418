"""Airflow's database, and in it the pool of the tasks that load models.

``python -m tounum_airflow.database SLOTS`` makes both in one process; a command of Airflow's for each would load all of
Airflow twice, which takes longer than the work.
"""

import sys

MODEL_POOL = "tounum_model"


def migrate_database() -> None:
    """Create the database's tables, or bring them up to date, as ``airflow db migrate`` does."""
    from airflow.cli.cli_parser import get_parser

    given = get_parser().parse_args(["db", "migrate"])
    given.func(given)


def make_pool(slots: int) -> None:
    """Make the pool, or change the number of its slots."""
    from airflow.models.pool import Pool

    Pool.create_or_update_pool(
        MODEL_POOL, slots, "Tasks that load models; see TOUNUM_MODEL_SLOTS", include_deferred=False
    )
    print(f"Pool {MODEL_POOL}: {slots} slots.")


if __name__ == "__main__":
    migrate_database()
    make_pool(int(sys.argv[1]))
