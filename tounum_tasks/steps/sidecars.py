"""XMP sidecars: which delivered one describes an image, and what stands in the one beside its copy in ``photos``."""

from collections.abc import Iterable, Mapping
from typing import Any

from tounum_tasks.items import Sidecar
from tounum_tasks.manifest.sources import BY_PERSON
from tounum_tasks.metadata.fields import plain
from tounum_tasks.metadata.xmp import MAX_SIDECAR_BYTES, NAMESPACES, Xmp

XMP_SUFFIX = ".xmp"
# The columns of a manifest that a sidecar is made of.
SAID_IN_SIDECARS = (
    "image_id", "title", "description", "inventory_number", "copyright", "keywords", "captured_at", "label",
    "label_source", "classifier_version", "caption", "caption_source", "captioner_version", "reviewed_at",
)  # fmt: skip


def xmp_sidecars(sidecars: Iterable[Sidecar]) -> dict[str, Sidecar]:
    """Return by source_path the XMP sidecar that describes each image.

    It is the one in the image's folder rather than one elsewhere, then ``a.tif.xmp`` rather than ``a.xmp``.
    """

    def nearness(sidecar: Sidecar, image: str) -> tuple[bool, int]:
        folder, _, name = sidecar.source_path.rpartition("/")
        return folder == image.rpartition("/")[0], len(name)

    found: dict[str, Sidecar] = {}
    for sidecar in sidecars:
        if sidecar.source_path.casefold().endswith(XMP_SUFFIX):
            for image in sidecar.describes:
                before = found.get(image)
                if before is None or nearness(sidecar, image) > nearness(before, image):
                    found[image] = sidecar
    return found


def sidecar_content(row: Mapping[str, Any], delivered: bytes | None) -> bytes:
    """Return the sidecar of a photograph: what its row says, merged into the sidecar that came with the original.

    What was delivered stays as it is. A caption becomes the description where nobody gave one, and is the text for
    those who do not see the picture in any case; the class joins the keywords. The same row gives the same bytes.

    Args:
        row: of a manifest.
        delivered: the delivered sidecar; one that is no XMP is as good as none, which the row says already.
    """
    xmp = _parsed(delivered)
    kept = {
        "dc:title": row.get("title"),
        "dc:description": row.get("description") or row.get("caption"),
        "dc:rights": row.get("copyright"),
        "Iptc4xmpCore:AltTextAccessibility": row.get("caption"),
    }
    for name, value in _plain(kept).items():
        if value and not xmp.text(name):
            xmp.set_alternative(name, value)
    texts = {
        "dc:identifier": row.get("inventory_number"),
        "photoshop:DateCreated": row.get("captured_at"),
        "photoshop:Source": _source(row),
    }
    for name, value in _plain(texts).items():
        if value and not xmp.text(name):
            xmp.set_text(name, value)
    xmp.add_to_list("dc:subject", [*(row.get("keywords") or ()), row.get("label") or ""], "Bag")
    for name, value in _plain(_own(row)).items():
        xmp.remove(name)
        if value:
            xmp.set_text(name, value)
    return xmp.to_bytes()


def is_ours(content: bytes) -> bool:
    """Whether a sidecar is one that :func:`sidecar_content` made, or empty: what others wrote is left alone."""
    return not content.strip(b"\0") or NAMESPACES["tounum"].encode() in content


def _parsed(delivered: bytes | None) -> Xmp:
    if delivered is None:
        return Xmp.empty()
    try:
        return Xmp.parse(delivered, MAX_SIDECAR_BYTES)
    except ValueError:  # the row's metadata_left_out says so
        return Xmp.empty()


def _source(row: Mapping[str, Any]) -> str:
    """Say in words whose the class and the caption are."""
    said = [f"class by {_whose(row.get('label_source'), row.get('classifier_version'))}"]
    if row.get("caption"):
        said.append(f"caption by {_whose(row.get('caption_source'), row.get('captioner_version'))}")
    return f"TouNum: {', '.join(said)}"


def _whose(source: str | None, version: str | None) -> str:
    return "a person" if source == BY_PERSON else f"model {version}" if version else "a model"


def _plain(said: Mapping[str, str | None]) -> dict[str, str | None]:
    """What can stand in XML: no control characters."""
    return {name: plain(value) for name, value in said.items()}


def _own(row: Mapping[str, Any]) -> dict[str, str | None]:
    """What no standard has a name for, so that nothing is lost where others had spoken before."""
    return {
        "tounum:Class": row.get("label"),
        "tounum:ClassSource": row.get("label_source"),
        "tounum:Caption": row.get("caption"),
        "tounum:CaptionSource": row.get("caption_source"),
        "tounum:ReviewedAt": row.get("reviewed_at"),
        "tounum:Image": row.get("image_id"),
    }
