"""Names of files and folders that are hard to show, to store, or to tell from names that are derived from others."""

import os

from tounum_tasks.names import safe_key

# Derived from others of the list, in one step or two.
DERIVED = ["a", "a.png", "a.tif", "a.tif.p0001", "a.tif.p0002", "a.tif.p0002.png", "a.p0001", "a.p0001.png", "a.jpg"]
NOTES = [f"{name}.reason.json" for name in ("a", "a.png", "a.tif.p0001", "a.p0001")]
HASHED = [
    f"a.tif.{safe_key('a.tif')[:8]}.p0002.png",
    f"a.png.{safe_key('a.png')[:8]}.reason.json",
    f"a.png.{safe_key('a.png')[:8]}",
    safe_key("a.png"),
]
HARD = [
    b"\xfc\xe4.png", b"\x1b[31mred\x1b[2J.png", b"new\nline.png", "\u202egnp.exe".encode(), "zero\u200bwidth".encode(),
    "rlm\u200f.png".encode(), "soft\u00adhyphen.png".encode(), "tag\U000e0041.png".encode(), b"back\\slash.png",
    "ü".encode() * 127, b"$(id).png", b"--help.png", b"%s%n.png", b"_READY", b".refused", b"manifests",
]  # fmt: skip
NAMES = [*map(os.fsencode, [*DERIVED, *NOTES, *HASHED]), *HARD]
