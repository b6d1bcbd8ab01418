"""The journal of an intake: which batch is being taken in, and where its files go in the lake."""

import json
from dataclasses import asdict, dataclass

from tounum_tasks.errors import ConfigurationError, ErrorCode, ItemError
from tounum_tasks.intake.readiness import FileState, Listing
from tounum_tasks.names import (
    READY_MARKER,
    safe_key,
    validate_batch_date,
    validate_batch_id,
    validate_relative_path,
)
from tounum_tasks.visible import display_name

JOURNAL_FOLDER = "registers/journal"


@dataclass(frozen=True)
class Journal:
    """A batch that is being taken in: the promise to finish it under this id and date."""

    batch_id: str
    batch_date: str
    listing: Listing

    @property
    def path(self) -> str:
        return journal_path(self.listing)

    def original(self, source_path: str) -> str:
        """Where the bytes of a file lie in the lake."""
        return original_path(self.batch_date, self.batch_id, self.listing, source_path)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Journal":
        """Return the journal that :meth:`to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            value = json.loads(data)
            listing = value["listing"]
            if listing.pop("has_marker", False):  # version 0.1 knew one name of it
                listing["markers"] = [READY_MARKER]
            listing["files"] = tuple(FileState(**file) for file in listing["files"])
            for name in ("folders", "left_behind", "markers"):
                listing[name] = tuple(listing.get(name, ()))
            batch_id, batch_date = validate_batch_id(value["batch_id"]), validate_batch_date(value["batch_date"])
            return cls(batch_id, batch_date, Listing(**listing))
        except (KeyError, TypeError, AttributeError, RecursionError, ConfigurationError) as error:
            raise ValueError("no journal of an intake") from error


def journal_path(listing: Listing) -> str:
    return f"{JOURNAL_FOLDER}/{safe_key(listing.folder)}.json"


def original_path(batch_date: str, batch_id: str, listing: Listing, source_path: str) -> str:
    """Where the bytes of a file lie; a name that may not become a path is replaced by its hash.

    Names that begin with a dot are never taken in, so the folder ``.refused`` cannot meet a folder of the batch.
    """
    try:
        name = validated(listing, source_path)
    except ItemError:
        name = f".refused/{safe_key(source_path)}"
    return f"originals/{batch_date}/{batch_id}/{name}"


def validated(listing: Listing, source_path: str) -> str:
    """Return a path that can become one below any root.

    Raises:
        ItemError: NAME_REFUSED, with the reason.
    """
    if source_path in listing.folder_names:  # object stores can have both
        raise ItemError(
            ErrorCode.NAME_REFUSED, f"the name '{display_name(source_path)}' is also that of a folder; rename the file"
        )
    return validate_relative_path(source_path)
