"""PBM, PGM, PPM, PAM and PFM files (https://netpbm.sourceforge.net/doc/): header, completeness and samples.

Pillow and OpenCV read some of these files, neither all: maxima other than 255, 16 bits, PAM with alpha, colour PFM.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError

_TOKEN = re.compile(rb"(?>[ \t\r\n\v\f]+|#[^\r\n]*[\r\n])*+([^ \t\r\n\v\f#]+)")  # (?>, *+: see formats.py
_COMMENT = re.compile(rb"#[^\r\n]*")
_MAGIC = re.compile(rb"[ \t\r\n]*P[1-7Ff][ \t\r\n]")
_MAX_DIGITS = 64
_PAM_FIELDS = (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")


@dataclass(frozen=True)
class NetpbmHeader:
    """What the header says, and where the samples begin."""

    kind: str  # P1 to P7, Pf, PF
    width: int
    height: int
    samples: int  # per pixel
    maximum: float  # of a sample; for PFM the scale, negative if the file is little-endian
    alpha: bool
    start: int

    @property
    def bits(self) -> int:
        """Bits per sample."""
        if self.kind in ("P1", "P4"):
            return 1
        if self.kind in ("Pf", "PF"):
            return 32
        return 8 if self.maximum < 256 else 16

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, of the kinds that are not text."""
        return -(-self.width * self.samples * self.bits // 8)


def read_header(data: bytes) -> NetpbmHeader:
    """Read the header.

    Raises:
        ItemError: TRUNCATED or CORRUPT.
    """
    kind = data[:2].decode()
    if kind == "P7":
        return _read_pam_header(data)
    tokens: list[bytes] = []
    at = 2
    for _ in range(2 if kind in ("P1", "P4") else 3):
        found = _TOKEN.match(data, at)
        if not found or found.end() == len(data):
            raise ItemError(ErrorCode.TRUNCATED, "the PNM file ends in its header")
        tokens.append(found[1])
        at = found.end()
    try:
        width, height = int(tokens[0]), int(tokens[1])
        maximum = float(tokens[2]) if len(tokens) == 3 else 1.0
    except ValueError as error:
        raise ItemError(ErrorCode.CORRUPT, "the header of the PNM file has words where numbers belong") from error
    samples = 3 if kind in ("P3", "P6", "PF") else 1
    return _checked(NetpbmHeader(kind, width, height, samples, maximum, False, at + 1))


def _read_pam_header(data: bytes) -> NetpbmHeader:
    end = data.find(b"ENDHDR\n", 0, 65_536)
    if end < 0:
        raise ItemError(ErrorCode.TRUNCATED, "the PAM file ends in its header")
    lines = [line.split(maxsplit=1) for line in data[3:end].splitlines() if line.strip() and line[:1] != b"#"]
    fields = {line[0]: line[1] for line in lines if len(line) == 2}
    try:
        width, height, samples, maximum = (int(fields[name]) for name in _PAM_FIELDS)
    except (KeyError, ValueError) as error:
        raise ItemError(ErrorCode.CORRUPT, "the header of the PAM file lacks a number") from error
    alpha = fields.get(b"TUPLTYPE", b"").strip().endswith(b"_ALPHA")
    return _checked(NetpbmHeader("P7", width, height, samples, maximum, alpha, end + 7))


def _checked(header: NetpbmHeader) -> NetpbmHeader:
    is_float = header.kind in ("Pf", "PF")
    if not (np.isfinite(header.maximum) and header.maximum != 0 if is_float else 0 < header.maximum < 65_536):
        raise ItemError(ErrorCode.CORRUPT, "the header of the PNM file gives an impossible maximum")
    if header.samples not in (1, 2, 3, 4) or (header.samples in (2, 4)) != header.alpha:
        raise ItemError(ErrorCode.UNSUPPORTED, f"PAM files with {header.samples} samples of this kind are not read")
    return header


def check(data: bytes) -> None:
    """Raise ItemError if there are fewer samples than the header promises (TRUNCATED), or a second picture."""
    header = read_header(data)
    if header.kind in ("P1", "P2", "P3"):
        return  # the samples have to be read to be counted
    end = header.start + header.row_bytes * header.height
    if end > len(data):
        raise ItemError(ErrorCode.TRUNCATED, "the PNM file ends before its pixel data do")
    if _MAGIC.match(data, end):
        raise ItemError(ErrorCode.UNSUPPORTED, "PNM files with several pictures are not read; split the file")


def read_samples(data: bytes) -> NDArray[np.generic]:
    """Return the samples as HxW or HxWxC: uint8 or uint16 scaled to their full range, or float32.

    Raises:
        ItemError: TRUNCATED or CORRUPT.
    """
    header = read_header(data)
    count = header.width * header.height * header.samples
    if header.kind in ("P1", "P2", "P3"):
        samples = _plain_samples(data, header, count)
    elif header.kind == "P4":
        rows = np.frombuffer(data, np.uint8, header.row_bytes * header.height, header.start)
        samples = np.unpackbits(rows.reshape(header.height, header.row_bytes), axis=1)[:, : header.width]
    elif header.bits == 32:
        samples = np.frombuffer(data, "<f4" if header.maximum < 0 else ">f4", count, header.start).astype(np.float32)
    else:
        samples = np.frombuffer(data, np.uint8 if header.bits == 8 else ">u2", count, header.start)
    shape = (header.height, header.width) + ((header.samples,) if header.samples > 1 else ())
    samples = samples.reshape(shape)
    if header.kind in ("P1", "P4"):  # 1 is black
        return np.where(samples == 0, np.uint8(255), np.uint8(0))
    if header.bits == 32:
        return samples[::-1]  # PFM files are written from bottom to top
    return _scaled(samples, int(header.maximum))


def _plain_samples(data: bytes, header: NetpbmHeader, count: int) -> NDArray[np.generic]:
    text = _COMMENT.sub(b"", data[header.start - 1 :])
    if header.kind == "P1":  # digits need no space between them
        digits = np.frombuffer(b"".join(text.split()), np.uint8)
        values = digits[:count] - np.uint8(ord("0"))
    else:
        words = text.split(maxsplit=count)[:count]
        if max(map(len, words), default=0) > _MAX_DIGITS:  # an array would have room for the longest in every place
            raise ItemError(ErrorCode.CORRUPT, "the PNM file has words where numbers belong")
        try:
            values = np.array(words).astype(np.int64)
        except (ValueError, OverflowError) as error:
            raise ItemError(ErrorCode.CORRUPT, "the PNM file has words where numbers belong") from error
    if len(values) < count:
        raise ItemError(ErrorCode.TRUNCATED, "the PNM file ends before its pixel data do")
    if values.size and (values.min() < 0 or values.max() > header.maximum):
        raise ItemError(ErrorCode.CORRUPT, "the PNM file has a sample above its maximum")
    return values


def _scaled(samples: NDArray[np.generic], maximum: int) -> NDArray[np.generic]:
    """Scale samples of 0 to ``maximum`` to the full range of 8 or 16 bits, rounding."""
    full, kind = (255, np.uint8) if maximum < 256 else (65_535, np.uint16)
    table = (np.minimum(np.arange(full + 1, dtype=np.int64), maximum) * full * 2 + maximum) // (2 * maximum)
    return table.astype(kind)[samples]
