"""The steps of a run over one shard, in their order: one row each, and nothing that is slow to import.

The task group of the DAG, ``run`` on the command line, the rows of publish, the times in the report and what prune may
clear follow from this table. What a step is made of is said by :class:`tounum_tasks.steps.shard.StepModule`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One row.

    Attributes:
        name: of the task, the module ``tounum_tasks.steps.NAME``, the folder ``stages/NAME`` of the lake, and the
            columns ``fingerprint_NAME`` and ``seconds_NAME`` of a manifest.
        needs: the steps whose results it takes.
        loads_model: it takes a slot of Airflow's pool ``tounum_model``.
        on_model_queue: most of its work is the model's, so that it runs where the setting ``model_queue`` says.
        rows_in: folder of the lake for its rows, if people use them; otherwise they are a cache below ``stages``.
        products: further folders of the lake with results for people.
    """

    name: str
    needs: tuple[str, ...] = ()
    loads_model: bool = False
    on_model_queue: bool = False
    rows_in: str | None = None
    products: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder of the lake below which its committed rows lie."""
        return self.rows_in or f"stages/{self.name}"


STEPS = (
    Step("measure_and_enhance", loads_model=True),
    Step("classify", needs=("measure_and_enhance",), loads_model=True, on_model_queue=True),
    Step("route", needs=("measure_and_enhance", "classify")),
    Step("extract_features", needs=("classify",), loads_model=True, on_model_queue=True, rows_in="features"),
    Step(
        "caption",
        needs=("classify", "extract_features"),
        loads_model=True,
        on_model_queue=True,
        products=("attention",),
    ),
)


def step_named(name: str) -> Step:
    """Return the row of a step.

    Raises:
        KeyError: there is no such step.
    """
    return {step.name: step for step in STEPS}[name]
