"""Where thumbnails lie in the lake. Light on purpose: pages import it, too.

``lake/thumbnails/`` is a cache. A file there never changes: its name says which image it shows. It may be gone, or cut
off by a power failure, as nobody waits until it is on the disk; then ``python -m tounum_tasks thumbnail`` makes it
again. No manifest and no fingerprint knows of it. Of what was made of attention maps, ``prune`` removes what is old.
"""

from tounum_tasks.errors import DamagedFile
from tounum_tasks.names import validate_fingerprint, validate_image_id
from tounum_tasks.store.base import Storage

FOLDER = "thumbnails"
ATTENTION_SUFFIX = ".attention.png"
_PREFIX = 16


def thumbnail_path(image_id: str) -> str:
    """Return where the thumbnail of an image lies below the lake.

    Raises:
        ConfigurationError: this is no image id.
    """
    return f"{_stem(image_id)}.webp"


def read_thumbnail(lake: Storage, image_id: str) -> bytes | None:
    """Return the WebP file of an image's thumbnail, or None if it is gone or not whole.

    Raises:
        ConfigurationError: this is no image id.
    """
    try:
        content = lake.read_bytes(thumbnail_path(image_id))
    except (FileNotFoundError, DamagedFile):
        return None
    # The container says at its beginning how long it is: https://developers.google.com/speed/webp/docs/riff_container
    is_whole = content.startswith(b"RIFF") and len(content) == 8 + int.from_bytes(content[4:8], "little")
    return content if is_whole else None


def keep_thumbnail(lake: Storage, image_id: str, content: bytes) -> None:
    """Put the WebP file of an image's thumbnail into its place."""
    lake.write_cached(thumbnail_path(image_id), content)


def attention_path(image_id: str, fingerprint: str) -> str:
    """Return where the attention maps of an image's caption lie below the lake.

    Args:
        fingerprint: of the caption, as the manifest has it in ``fingerprint_caption``.

    Raises:
        ConfigurationError: one of both is not what it should be.
    """
    return f"{_stem(image_id)}.{validate_fingerprint(fingerprint)[:_PREFIX]}{ATTENTION_SUFFIX}"


def _stem(image_id: str) -> str:
    return f"{FOLDER}/{validate_image_id(image_id)[:2]}/{image_id}"
