"""Writes the sample delivery: a BagIt bag as a scanning service hands it over, with what goes wrong on the way."""

import hashlib
import logging
from io import BytesIO
from pathlib import Path

import bagit
import numpy as np
from PIL import Image

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.images.encode import encode
from tounum_tasks.names import READY_MARKER
from tounum_tasks.sample import photos, texts
from tounum_tasks.sample.batch import Pixels, jpeg
from tounum_tasks.sample.dng import dng
from tounum_tasks.sample.scans import as_scanned, negative

DIFFERENT = "data/masters/0003.tif"
MISSING = "data/masters/0004.tif"
# Drawn, and saved by heif-enc: nothing that is installed with this package writes HEIC.
HEIC = Path(__file__).with_name("house.heic")
_INFO = {"Source-Organization": "Scanning service", "Bagging-Date": "2026-01-05", "External-Identifier": "Box 17"}


def write_sample_delivery(folder: Path) -> list[Path]:
    """Write a bag into ``folder``, which is made if it is not there, and mark it as ready.

    Beside images it has a camera's raw, a HEIC file, a fax whose pixels are twice as high as wide, sidecars, a
    checksum list of its own, the same file twice, a master with its access copy, empty pages, pages that lie crooked,
    on their side and in the border of the scanner, a page of an album, and film. After it was packed, one file was
    changed (:data:`DIFFERENT`) and one lost (:data:`MISSING`).

    Returns:
        The paths of its files, without the marker, in order.

    Raises:
        EnvironmentFault: the folder is not empty or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise EnvironmentFault(f"The sample delivery is not written to {folder}: name a folder that is empty.")
        for name, content in _payload().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        logging.getLogger(bagit.__name__).setLevel(logging.WARNING)  # it tells of each file
        bagit.make_bag(str(folder), bag_info=dict(_INFO), checksums=["md5", "sha256"])
        (folder / DIFFERENT).write_bytes((folder / DIFFERENT).read_bytes()[:-1] + b"\x01")
        (folder / MISSING).unlink()
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        (folder / READY_MARKER).touch()
    except (OSError, bagit.BagError) as error:
        raise EnvironmentFault(f"The sample delivery cannot be written to {folder}: {error}.") from error
    return paths


def _payload() -> dict[str, bytes]:
    shown = photos.photographs()
    masters = {f"masters/{number:04d}.tif": shown[name] for number, name in enumerate(_MASTERS, 1)}
    files = {path: encode(pixels, format="tiff", dpi=300) for path, pixels in masters.items()}
    files["camera/0005.dng"] = dng(shown["cat"][:, :450], preview=_half(_half(shown["cat"])))
    files["camera/0006.heic"] = HEIC.read_bytes()
    files["access/0001.jpg"] = jpeg(_half(masters["masters/0001.tif"]))
    files["masters/0002 again.tif"] = files["masters/0002.tif"]
    files["pages/letter.jpg"] = jpeg(texts.scanned(texts.letter(), 1, skew_degrees=0.8), quality=80, dpi=(150, 150))
    files["pages/fax.tif"] = _fax(texts.letter())
    files |= {f"pages/{name}.jpg": jpeg(page, dpi=(150, 150)) for name, page in as_scanned().items()}
    files["film/0007.jpg"] = jpeg(negative(shown["coffee"]))
    checksums = "".join(f"{hashlib.md5(files[name]).hexdigest()} *{name}\r\n" for name in sorted(files))
    return files | {
        "METS.xml": b"<?xml version='1.0'?>\n<mets xmlns='http://www.loc.gov/METS/'/>\n",
        "alto/letter.xml": b"<?xml version='1.0'?>\n<alto xmlns='http://www.loc.gov/standards/alto/ns-v4#'/>\n",
        "masters/0001.xmp": _XMP,
        "titles.csv": "file;title\r\nmasters/0001.tif;Woman with a helmet\r\n".encode("utf-8-sig"),
        "masters/Thumbs.db": b"made by a system",
        "checksums of the scanner.md5": checksums.encode(),
    }


_XMP = b"""<x:xmpmeta xmlns:x='adobe:ns:meta/'>
 <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
  <rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/'>
   <dc:identifier>17/0001</dc:identifier>
   <dc:subject><rdf:Bag><rdf:li>portrait</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
_MASTERS = ("astronaut", "coffee", "shuttle", "portrait")


def _fax(page: Pixels) -> bytes:
    """Return a page as fax machines store it: black and white, 204 dots along an inch and 98 down it."""
    squashed = Image.fromarray(page).resize((page.shape[1], page.shape[0] * 98 // 204), Image.Resampling.BOX)
    out = BytesIO()
    squashed.convert("1").save(out, "TIFF", compression="group4", dpi=(204, 98))
    return out.getvalue()


def _half(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[::2, ::2])
