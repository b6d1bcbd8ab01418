"""Who goes first when slots are short."""

from typing import TYPE_CHECKING

from airflow.task.priority_strategy import PriorityWeightStrategy

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

REPROCESS_PREFIX = "reprocess__"
GIVES_WAY = (REPROCESS_PREFIX, "backfill__")
AHEAD = 100


class NightFirst(PriorityWeightStrategy):
    """The night's run and runs by hand go before runs that bring old batches up to date; else as Airflow does.

    Airflow knows priorities of tasks, not of runs; but a run's id tells what it is for.
    """

    def get_weight(self, ti: "TaskInstance") -> int:
        """Return the number of tasks that wait for this one, far ahead for runs that somebody waits for."""
        downstream = ti.task.get_flat_relative_ids(upstream=False) if ti.task else ()
        return 1 + len(downstream) + (0 if ti.run_id.startswith(GIVES_WAY) else AHEAD)
