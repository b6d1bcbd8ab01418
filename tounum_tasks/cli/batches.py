"""Finding a published batch by the id that a person gives."""

import argparse
import difflib

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.manifest.published import BatchRef, committed_batches, published_batches
from tounum_tasks.names import validate_batch_id
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--lake`` and ``--batch``."""
    add_lake_argument(parser)
    parser.add_argument("--batch", metavar="B", required=True, help="id of a batch, as `show` lists it")


def add_lake_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--lake``."""
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")


def given_batch(arguments: argparse.Namespace) -> tuple[Settings, Storage, BatchRef]:
    """Return the settings, the lake and the batch that ``--lake`` and ``--batch`` name.

    Raises:
        ConfigurationError: the lake has no such batch.
    """
    settings = settings_for(arguments.lake)
    lake = open_storage(settings.lake_root)
    return settings, lake, find_batch(all_batches(lake), arguments.batch)


def settings_for(lake: str | None) -> Settings:
    """Return the settings with another lake; buckets that are not set themselves lie in it, as with `run --lake`."""
    settings = load_settings(lake_root=lake)
    if not lake:
        return settings
    buckets = [bucket for bucket in ("non_photos", "quarantine") if f"{bucket}_root" not in settings.model_fields_set]
    return load_settings(lake_root=lake, **{f"{bucket}_root": f"{settings.lake_root}/{bucket}" for bucket in buckets})


def all_batches(lake: Storage) -> list[BatchRef]:
    """Return the batches of a lake that were published, also those of which only the history is left.

    Raises:
        ConfigurationError: there is none.
        EnvironmentFault: the lake cannot be read.
    """
    lake.check()
    batches = sorted({*published_batches(lake), *committed_batches(lake)})
    if not batches:
        raise ConfigurationError(f"No manifest lies in {lake.root} yet: nothing was published there.")
    return batches


def find_batch(batches: list[BatchRef], wanted: str) -> BatchRef:
    """Return the batch with the id ``wanted``.

    Raises:
        ConfigurationError: there is none; the sentence names those that look like it.
    """
    validate_batch_id(wanted)
    for batch in batches:
        if batch.batch_id == wanted:
            return batch
    names = [batch.batch_id for batch in reversed(batches)]
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.4) or names[:5]
    rest = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
    raise ConfigurationError(f"No batch '{wanted}' was published; there are {', '.join(near)}{rest}.")
