"""Fixtures that more than one folder of tests uses."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Examples write to disks that are slow when the machine is busy; that is no failure.
settings.register_profile("tounum", deadline=None)
settings.load_profile("tounum")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Training data that lies beside the checkout (or where TOUNUM_SHARED_DATA says); skips where it is absent."""
    folder = Path(os.environ.get("TOUNUM_SHARED_DATA", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the training data is not here")
    return folder
