"""The parameters of a run, as the trigger form shows them; their defaults are the settings."""

from airflow.sdk import Param

from tounum_tasks.settings import Settings

CHOSEN_MODELS = ("classifier", "captioner")  # those whose version the form asks for; settings say which else
VERSION_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"


def run_params(settings: Settings) -> dict[str, Param]:
    """Return every parameter with type, title, description and a valid default."""
    return {
        "batch_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Batch date",
            description="Work on the batches of this day. Empty: today, and whatever is ready in ingest.",
        ),
        "batch_id": Param(
            None,
            type=["null", "string"],
            pattern="^[a-z0-9-]{1,80}$",
            title="Batch",
            description="Work on this batch only; its id stands in its manifest. Empty: every batch of the day.",
        ),
        "items": Param(
            "missing",
            type="string",
            enum=["missing", "failed", "all"],
            title="Which items",
            description="missing: no result yet for these settings and models. failed: failed or quarantined.",
        ),
        "enhancement": Param(
            settings.enhancement,
            type="string",
            enum=["auto", "classic", "off"],
            title="Enhancement",
            description="auto accepts a change only if it is an improvement; classic decides by thresholds.",
        ),
        **{name: _version(getattr(settings, name), name.capitalize()) for name in CHOSEN_MODELS},
        "max_failure_rate": Param(
            settings.max_failure_rate,
            type="number",
            minimum=0,
            maximum=1,
            title="Accepted share of failures",
            description="With more failed and quarantined items in a batch the run ends failed, after publishing.",
        ),
    }


def _version(default: str, title: str) -> Param:
    return Param(default, type="string", pattern=VERSION_PATTERN, title=title, description="A version, or production.")
