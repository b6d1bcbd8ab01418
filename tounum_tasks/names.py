"""Validation of names that come from outside, before they become paths.

File and folder names are hostile until they have been through here; so are batch ids and dates that arrive as
parameters. Unicode in any script is welcome. What could leave a root, or cannot be stored on common file systems
and object stores, is refused.
"""

import datetime as dt
import hashlib
import re
import unicodedata

from tounum_tasks.errors import ConfigurationError, ErrorCode, ItemError
from tounum_tasks.visible import display_name, is_control

BATCH_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")
IMAGE_ID = re.compile(r"[0-9a-f]{64}(?:-p[0-9]{4,9})?")  # sha256 of the file, and the page if there are several
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini"})
IGNORED_SUFFIXES = (".part", ".tmp")
READY_MARKER = "_READY"
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 700  # S3 takes keys of 1024 bytes: this leaves room for a bucket's folder and for ours


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is left behind in ingest without blocking its batch."""
    lowered = name.lower()
    return name.startswith(".") or lowered in IGNORED_NAMES or lowered.endswith(IGNORED_SUFFIXES)


def validate_relative_path(path: str) -> str:
    """Return ``path`` (relative, ``/`` between folders) if it can become a path below any root.

    Raises:
        ItemError: NAME_REFUSED, with the reason.
    """
    reason = _refusal(path)
    if reason:
        raise ItemError(ErrorCode.NAME_REFUSED, f"the name '{display_name(path)[:200]}' {reason}; rename the file")
    return path


def _refusal(path: str) -> str | None:
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    if "\\" in path:
        return "holds a backslash"
    if any(is_control(character) for character in path):
        return "holds control characters or bytes that are not UTF-8"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "holds an empty, '.' or '..' folder"
        if len(part.encode()) > MAX_NAME_BYTES:
            return f"has a part longer than {MAX_NAME_BYTES} bytes"
    return None


def batch_slug(name: str) -> str:
    """Return the part of a batch id that people recognise: ASCII, lower case, at most 60 characters.

    Names in scripts without an ASCII form (Chinese, Arabic, ...) become ``batch``; the hash that follows in the id
    tells them apart, and the rows keep the folder's own name.
    """
    letters = (c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    slug = re.sub(r"[^a-z0-9]+", "-", "".join(letters)).strip("-")[:60].strip("-")
    return slug or "batch"


def make_batch_id(name: str, listing_digest: str) -> str:
    """Return ``slug-hash`` for a folder name and the hex digest of its listing."""
    return f"{batch_slug(name)}-{listing_digest[:10]}"


def validate_batch_id(value: str) -> str:
    """Return ``value`` if it is a batch id.

    Raises:
        ConfigurationError: it is not.
    """
    if not BATCH_ID.fullmatch(value):
        raise ConfigurationError(
            f"'{display_name(value)[:100]}' is no batch id: use 1 to 80 of a-z, 0-9 and '-', as the manifest shows it."
        )
    return value


def validate_batch_date(value: str) -> str:
    """Return ``value`` if it is a calendar date written YYYY-MM-DD.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        if dt.date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise ConfigurationError(f"'{display_name(value)[:100]}' is no batch date: write it as 2026-01-31.")


def validate_image_id(value: str) -> str:
    """Return ``value`` if it is an image id, as manifests have them.

    Raises:
        ConfigurationError: it is not.
    """
    if not IMAGE_ID.fullmatch(value):
        raise ConfigurationError(f"'{display_name(value)[:100]}' is no image id: copy it from the manifest.")
    return value


def validate_fingerprint(value: str) -> str:
    """Return ``value`` if it is a fingerprint, as manifests have them.

    Raises:
        ConfigurationError: it is not.
    """
    if not FINGERPRINT.fullmatch(value):
        raise ConfigurationError(f"'{display_name(value)[:100]}' is no fingerprint: copy it from the manifest.")
    return value


def safe_key(text: str) -> str:
    """Return a short name for any text that is not fit to be a file name itself."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
