"""Both images, built once for all tests here."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.build import ImageStore
from tests.image.container import Container


@pytest.fixture(scope="session")
def store() -> Iterator[ImageStore]:
    if os.getuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"):
        pytest.skip("images are built by root with buildah and debootstrap: make test-image installs them")
    with tempfile.TemporaryDirectory(prefix="tounum-image-") as folder:
        store = ImageStore(Path(folder))
        yield store
        store.close()


@pytest.fixture(scope="session", params=["lean", "full"])
def variant(request: pytest.FixtureRequest) -> str:
    """Which of the two images a test is about."""
    return request.param


@pytest.fixture(scope="session")
def container(store: ImageStore, variant: str, tmp_path_factory: pytest.TempPathFactory) -> Container:
    root = store.build(variant)
    return Container.of_service(root, tmp_path_factory.mktemp("secrets") / ".env")
