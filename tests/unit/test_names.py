"""Names from outside: what becomes a path, and how the rest is shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.names import (
    BATCH_ID,
    batch_slug,
    is_ignored,
    make_batch_id,
    validate_batch_date,
    validate_batch_id,
    validate_relative_path,
)
from tounum_tasks.visible import display_name, one_line

ANY_NAME = st.text(st.characters(), min_size=1, max_size=80)


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x.jpg", "a/../b.jpg", "a/./b.jpg", "a//b.jpg", "a/b.jpg/", "a\0b.jpg", "a\nb.jpg",
        "a\x1b[31m.jpg", "a\x7f.jpg", "a\x85.jpg", "\u202egpj.exe", "a\\..\\b.jpg", "\udcff.jpg", "é" * 128 + ".jpg",
        "/".join(["folder"] * 200),
    ],
)  # fmt: skip
def test_refuses_what_could_leave_the_root_or_cannot_be_stored(path: str) -> None:
    with pytest.raises(ItemError, match="rename the file"):
        validate_relative_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "scan.jpg", "a/b/c.tif", "архив/лист 1.png", "写真/図面.webp", "صورة.jpg", "עברית.jpg", "ภาพ.jpg",
        "<script>alert(1)</script>.jpg", "'; DROP TABLE x; --.jpg",
        "x" * 251 + ".jpg", "..jpg", "a..b/c...jpg", "👩‍🚀.png",
    ],
)  # fmt: skip
def test_accepts_every_script_and_markup(path: str) -> None:
    assert validate_relative_path(path) == path


@given(ANY_NAME)
def test_an_accepted_path_stays_below_its_root(name: str) -> None:
    try:
        path = validate_relative_path(name)
    except ItemError:
        return
    assert not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


@given(ANY_NAME, ANY_NAME)
def test_names_that_differ_are_shown_differently_and_can_be_stored(one: str, other: str) -> None:
    assert (display_name(one) == display_name(other)) == (one == other)
    display_name(one).encode("utf-8")
    assert display_name(one).isprintable() or all(ord(c) >= 0x20 for c in display_name(one))


@given(ANY_NAME, st.text("0123456789abcdef", min_size=64, max_size=64))
def test_every_folder_name_gives_a_valid_batch_id(name: str, digest: str) -> None:
    batch_id = make_batch_id(name, digest)
    assert BATCH_ID.fullmatch(batch_id) and validate_batch_id(batch_id) == batch_id


def test_a_slug_is_what_people_recognise() -> None:
    assert batch_slug("Café Archive, Box 12 (1950–60)") == "cafe-archive-box-12-1950-60"
    assert batch_slug("写真") == "batch"


@pytest.mark.parametrize("value", ["", "A", "a/b", "..", "a" * 81, "-a", "a-", "a\n", "ä", "a b"])
def test_refuses_batch_ids_that_are_none(value: str) -> None:
    with pytest.raises(ConfigurationError, match="no batch id"):
        validate_batch_id(value)


@pytest.mark.parametrize(
    "value", ["", "2026-13-01", "2026-1-1", "20260101", "2026-01-01T00:00", "../2026-01-01", "2026-W01-1"]
)
def test_refuses_batch_dates_that_are_none(value: str) -> None:
    with pytest.raises(ConfigurationError, match="no batch date"):
        validate_batch_date(value)


def test_ignored_names() -> None:
    ignored = [
        ".hidden",
        "._x.jpg",
        "Thumbs.db",
        "THUMBS.DB",
        "desktop.ini",
        "a.jpg.part",
        "a.TMP",
        "Icon\r",
        "ehthumbs.db",
    ]
    assert all(map(is_ignored, ignored))
    assert not any(map(is_ignored, ["a.jpg", "part", "tmp", "_READY", "thumbs.db.jpg", "Picasa.ini"]))


HIDDEN = (
    "\x00\x1b\x7f\x85\u00ad\u034f\u061c\u115f\u180e\u200b\u200d\u200e\u200f\u2028\u202e\u2060\u2066\u3164\ufe0f\ufeff"
    "\U000e0041"
)


@pytest.mark.parametrize("character", [*HIDDEN, "\ud800", "\udcff"])
def test_what_cannot_be_seen_is_written_out_once(character: str) -> None:
    shown = display_name(f"a{character}b")
    assert shown.isprintable() and shown.encode() and re.fullmatch(r"a\\(x..|u.{4}|U.{8})b", shown)
    assert one_line(shown) == shown and one_line(f"a{character}b") == shown
    assert str(ItemError(ErrorCode.CORRUPT, f"a{character}b")) == shown == str(EnvironmentFault(f"a{character}b"))


def test_no_two_names_are_shown_alike_because_of_a_long_escape() -> None:
    assert display_name("\U000e0041") != display_name("\ue0041") != display_name("\u200b1")


@pytest.mark.parametrize("name", ["写真.png", "архив", "צילום", "صورة", "ภาพ", "naïve café", "a b\u3000c", "x" * 300])
def test_letters_of_every_script_are_shown_as_they_are(name: str) -> None:
    assert display_name(name) == name


def test_a_refusal_escapes_once() -> None:
    with pytest.raises(ItemError) as refused:
        validate_relative_path("a\udcff\x1b.png")
    assert str(refused.value).startswith("the name 'a\\xff\\u001b.png' holds")
