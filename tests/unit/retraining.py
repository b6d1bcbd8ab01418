"""Where retrainings of tests happen."""

from pathlib import Path

from tounum_tasks.settings import Settings, load_settings


def retraining_in(folder: Path) -> Settings:
    """Return settings with data sets, work folders, lake and model cache below a folder."""
    return load_settings(
        datasets_root=str(folder / "datasets"),
        training_root=str(folder / "training"),
        lake_root=str(folder / "lake"),
        model_cache=str(folder / "cache"),
        min_free_gib=0,
    )
