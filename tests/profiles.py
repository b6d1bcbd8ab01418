"""ICC profiles of known curves."""

import struct

_WHITE = (0.9642, 1.0, 0.8249)  # D50
_SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))  # adapted to it


def grey_profile(gamma: float) -> bytes:
    """Return a profile of one channel."""
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def rgb_profile(gamma: float) -> bytes:
    """Return a profile with the primaries of sRGB and another curve."""
    tags = {letter + b"XYZ": _xyz(colour) for letter, colour in zip((b"r", b"g", b"b"), _SRGB, strict=True)}
    return _profile(b"RGB ", tags | {letter + b"TRC": _curve(gamma) for letter in (b"r", b"g", b"b")})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"drawn"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(79)
    tags = {b"desc": description, b"wtpt": _xyz(_WHITE)} | tags
    directory, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        directory += struct.pack(">4sII", tag, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(_WHITE)
    return head.ljust(128, b"\0") + directory + body


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _xyz(colour: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(colour)


def _fixed(numbers: tuple[float, ...]) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
