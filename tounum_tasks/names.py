"""Validation of names that come from outside, before they become paths.

File and folder names are hostile until they have been through here; so are batch ids and dates that arrive as
parameters. Unicode in any script is welcome. What could leave a root, or cannot be stored on common file systems
and object stores, is refused.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from unicodedata import combining, normalize

from tounum_tasks.errors import ConfigurationError, ErrorCode, ItemError
from tounum_tasks.visible import display_name, is_control

BATCH_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")
IMAGE_ID = re.compile(r"[0-9a-f]{64}(?:-p[0-9]{4,9})?")  # sha256 of the file, and the page if there are several
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# What operating systems, file servers and viewers make for themselves: files and folders, in lower case.
SYSTEM_NAMES = frozenset(
    {
        "thumbs.db", "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", "zbthumbnail.info", "pspbrwse.jbf", "icon\r",
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "recycler",
        "system volume information", "lost+found", "__macosx", "network trash folder", "temporary items",
        "icon\uf00d", "thumbs.db:encryptable", "desktop db", "desktop df", "thevolumesettingsfolder",
        "thefindbycontentfolder", "@synoresource", "@synoeastream", "~snapshot", "recycled", "found.000", "aquota.user",
        "aquota.group",
    }
)  # fmt: skip
# How programs call a file that they still write: browsers, FTP, SCP and sync clients, editors, office programs.
UNFINISHED_SUFFIXES = (
    ".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".aria2", ".upload", ".uploading",
    ".inprogress", ".incomplete", ".lftp-pget-status", ".!ut", ".!qb", ".!bt", ".!sync", ".bc!", ".jc!", ".bts", ".tmp",
    ".temp", ".swp", ".swx", "~", ".ffs_tmp", ".gstmp", ".fdmdownload", ".downloading", ".xltd", ".dctmp",
    ".unfinished", ".copying", ".uploadpart",
)  # fmt: skip
UNFINISHED_HIDDEN = re.compile(
    r"~\$.|\.~lock\..|\.~tmp~$|\.in\..|\.pureftpd-upload\.|\.goutputstream-|\.fuse_hidden|\.nfs[0-9a-f]|~syncthing~"
    r"|\.~.|\.#.|\.rsync-|\.sftpgo-upload\.|\.azDownload-"
    r"|\..+\.[A-Za-z0-9]{6}$"  # rsync: .name.XXXXXX
    r"|.+\.\w{2,4}\.(?=[0-9A-F]*[a-f])(?=[0-9a-f]*[A-F])[0-9A-Fa-f]{8}$"  # the command line of AWS: name.tif.8fC01dE2
)
# Those of them, hidden, behind which a whole file may have been lost: locks, swap files and .index.sqlite are none.
HIDDEN_UPLOADS = re.compile(
    r"\.in\..|\.pureftpd-upload\.|\.sftpgo-upload\.|\.azDownload-|\.[^._~#].*\.icloud$"
    r"|\.[^._~#].*\.(?=[a-z]*[A-Z0-9])(?=[A-Z]*[a-z0-9])[A-Za-z0-9]{6}$"  # letters of both cases, or a digit
)
READY_MARKER = "_READY"
READY_MARKERS = frozenset({"_ready", "_ready.txt"})  # in any case; editors of Windows append the rest
_RAW_SUFFIXES = (
    ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".iiq", ".rw2", ".orf", ".pef",
    ".mrw", ".x3f", ".3fr", ".erf", ".mef", ".mos", ".srw", ".dcr", ".kdc",
)  # fmt: skip
_OTHER_SUFFIXES = (
    ".bmp", ".dib", ".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".heic",
    ".heif", ".hif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm",
    ".pcx",
)  # fmt: skip
IMAGE_SUFFIXES = frozenset(_OTHER_SUFFIXES + _RAW_SUFFIXES)
"""Of what is read, but PDF, which may well be a paper beside the images."""

# What may lie beside images to describe them, and is none itself unless its content says so.
SIDECAR_SUFFIXES = frozenset(
    {
        ".xmp", ".xml", ".mets", ".alto", ".mods", ".ead", ".tei", ".hocr", ".rdf", ".ttl", ".iptc", ".exif", ".icc",
        ".icm", ".csv", ".tsv", ".txt", ".text", ".md", ".log", ".nfo", ".json", ".jsonl", ".ndjson", ".yaml",
        ".yml", ".ini", ".cfg", ".db", ".db3", ".sqlite", ".sqlite3", ".mdb", ".accdb", ".dbf", ".html", ".htm",
        ".xhtml", ".rtf", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".xlsm", ".ods", ".xsd", ".dtd", ".xsl", ".xslt",
        ".css", ".mrc", ".marc", ".mhl", ".asc", ".sig", ".url", ".webloc", ".aae", ".pp3", ".dop", ".cos", ".md5",
        ".md5sum", ".sha1", ".sha1sum", ".sha256", ".sha256sum", ".sha384", ".sha512", ".sha512sum", ".sfv", ".crc",
    }
)  # fmt: skip
SIDECAR_NAMES = frozenset({"readme", "license", "licence", "manifest", "contents"})
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 700  # S3 takes keys of 1024 bytes: this leaves room for a bucket's folder and for ours


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is left behind in ingest."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES or is_unfinished(name)


def is_unfinished(name: str) -> bool:
    """Whether a program calls a file so while it still writes it: its batch is not complete while it changes."""
    return name.lower().endswith(UNFINISHED_SUFFIXES) or bool(UNFINISHED_HIDDEN.match(name))


def may_be_lost(name: str) -> bool:
    """Whether an unfinished upload may be all that there is of a file, so that people have to hear of it."""
    return bool(HIDDEN_UPLOADS.match(name)) if name.startswith((".", "~$")) else True


def is_ready_marker(name: str) -> bool:
    """Whether a file of this name says that its batch is complete."""
    return name.lower() in READY_MARKERS


def has_sidecar_suffix(name: str) -> bool:
    """Whether a file of this name describes images rather than being one, as far as its name tells."""
    path = PurePosixPath(name.lower())
    return path.suffix in SIDECAR_SUFFIXES or path.name in SIDECAR_NAMES


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether patterns with ``*``, ``?`` and ``[]`` name a path below its batch, in any case.

    A pattern without ``/`` before its end names files and folders wherever they lie, one with it a path from the
    batch's folder on. Accents may be composed or not.
    """
    whole = normalize("NFC", path).lower()
    name = whole.rpartition("/")[2]
    return any(
        fnmatchcase(whole if "/" in pattern.rstrip("/") else name, normalize("NFC", pattern).lower().strip("/"))
        for pattern in patterns
    )


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
    letters = (c for c in normalize("NFKD", name.lower()) if not combining(c))
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
