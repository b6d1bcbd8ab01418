"""Models are compared on images that none of them was trained on."""

from collections.abc import Iterable
from pathlib import Path

from tounum_tasks.datasets.lots import hashes_of_files
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.trained_on import prefix_of, read_trained_on
from tounum_tasks.retrain.training import DataSet


def unseen_by(folders: Iterable[Path], data: DataSet) -> DataSet:
    """Return a data set without the test images that versions were trained on, as the files beside their cards say it.

    Args:
        folders: of the versions; those without such a file leave nothing out.

    Raises:
        ConfigurationError: what is left cannot be tested on, or an image cannot be read.
    """
    learnt: set[bytes] = set()
    for folder in folders:
        learnt |= read_trained_on(folder) or frozenset()
    hashes = hashes_of_files(data.tests) if learnt else {}
    known = {path for path, sha256 in hashes.items() if prefix_of(sha256) in learnt}
    if not known:
        return data
    try:
        return data.without_tests(known)
    except ConfigurationError as error:
        counts = f"{len(known):,} of {len(data.tests):,} test images"
        raise ConfigurationError(f"A model that is to be measured was trained on {counts}, and {error}") from error
