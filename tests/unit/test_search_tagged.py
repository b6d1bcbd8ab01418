"""Bitmaps of tags against sets of numbers, which are the same thing done slowly."""

import sqlite3
from contextlib import closing
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from tounum_tasks.search.tagged import (
    BLOCK,
    SCHEMA,
    add_tags,
    bitmaps,
    forget_items,
    holds,
    items_of,
    take_tags,
    with_tags,
)

TAGS = ("class:Photo", "review", "flag:blurry")
EVERYTHING = (0, 1 << 62)
# Near the edges of blocks, and far away, as the numbers of other nights are.
NUMBERS = st.sampled_from([0, BLOCK, 7 * BLOCK, 1 << 61]).flatmap(
    lambda start: st.integers(max(0, start - 3), start + 3)
) | st.integers(0, 3 * BLOCK)
ITEMS = st.sets(NUMBERS, max_size=40)


def _index(of_tag: dict[str, set[int]]) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:")
    index.executescript(SCHEMA)
    tagged = {item: [tag for tag in TAGS if item in of_tag[tag]] for item in chain(*of_tag.values())}
    for item, tags in tagged.items():  # one after another, as reviews come
        add_tags(index, [(item, tags[:1])])
    add_tags(index, tagged.items())
    return index


def _found(index: sqlite3.Connection, *tags: str, span: tuple[int, int] = EVERYTHING, backwards: bool = False) -> list:
    blocks = with_tags(index, tags, span, backwards=backwards)
    return [item for block, bits in blocks for item in items_of(block, bits, backwards=backwards)]


@given(first=ITEMS, second=ITEMS, third=ITEMS, ends=st.tuples(NUMBERS, NUMBERS))
@settings(max_examples=60, deadline=None)
def test_items_with_all_tags_come_in_order_from_a_range(
    first: set[int], second: set[int], third: set[int], ends: tuple[int, int]
) -> None:
    span = (min(ends), max(ends))
    with closing(_index(dict(zip(TAGS, (first, second, third), strict=True)))) as index:
        for tags, expected in (
            (TAGS[:1], first),
            (TAGS[:2], first & second),
            (TAGS, first & second & third),
            ((*TAGS, "nobody has this"), set()),
        ):
            assert _found(index, *tags) == sorted(expected)
            within = sorted(item for item in expected if span[0] <= item < span[1])
            assert _found(index, *tags, span=span) == within
            assert _found(index, *tags, span=span, backwards=True) == within[::-1]


@given(items=ITEMS, others=ITEMS)
@settings(max_examples=60, deadline=None)
def test_a_tag_that_is_taken_off_leaves_the_other_items_theirs(items: set[int], others: set[int]) -> None:
    with closing(_index({TAGS[0]: items | others, TAGS[1]: others, TAGS[2]: set()})) as index:
        for item in items:
            take_tags(index, item, [TAGS[0]])
        assert _found(index, TAGS[0]) == sorted(others - items)
        assert _found(index, TAGS[1]) == sorted(others)
        forget_items(index, [TAGS[1]], (0, BLOCK))
        assert _found(index, TAGS[1]) == sorted(item for item in others if item >= BLOCK)
        assert index.execute("SELECT count(*) FROM tagged WHERE length(bits) = 0").fetchone()[0] == 0


@given(items=ITEMS, others=ITEMS)
def test_a_bitmap_holds_what_it_was_made_of(items: set[int], others: set[int]) -> None:
    marked = bitmaps(items)
    assert [item for item in sorted(items | others) if holds(marked, item)] == sorted(items)
