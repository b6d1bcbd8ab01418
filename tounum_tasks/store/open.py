"""The storage of a root, by its URL."""

from functools import lru_cache

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.settings import root_url
from tounum_tasks.store.base import Storage
from tounum_tasks.store.folder import FolderStorage


@lru_cache(maxsize=32)
def open_storage(path_or_url: str, *, untrusted: bool = False) -> Storage:
    """Return the storage below a folder, ``file://`` or ``s3://`` root.

    Args:
        untrusted: others write there, and may put a link in the place of a folder at any moment: none below the root
            is followed.

    Raises:
        ConfigurationError: another kind of URL, or one that no store takes.
    """
    try:
        root = root_url(path_or_url)
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from error
    if root.startswith("file://"):
        return FolderStorage(root, untrusted=untrusted)
    from tounum_tasks.store.objects import ObjectStorage  # botocore is slow to import

    return ObjectStorage(root)
