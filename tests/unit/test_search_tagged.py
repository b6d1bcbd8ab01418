"""Bitmaps of tags against sets of numbers, which are the same thing done slowly."""

import sqlite3
from contextlib import closing
from functools import reduce
from itertools import chain, pairwise
from operator import and_

from hypothesis import given, settings
from hypothesis import strategies as st

from tounum_tasks.search.tagged import (
    BATCH_BITS,
    BLOCK,
    EVERYTHING,
    SCHEMA,
    Marked,
    Slots,
    add_tags,
    counted,
    forget_items,
    give_up_room,
    make_room,
    take_tags,
)

TAGS = ("class:Photo", "review", "flag:blurry")
# Batches whose slots do not stand in the order of their items, one larger than a block, one far away.
ROOM = {7: 30, 2: 2 * BLOCK + 5, 1: 1, 1 << 39: 20}
FIRST = {batch: batch << BATCH_BITS for batch in ROOM}
NUMBERS = st.sampled_from(sorted(ROOM)).flatmap(
    lambda batch: st.integers(0, ROOM[batch] - 1).map(lambda place: FIRST[batch] + place)
)
ITEMS = st.sets(NUMBERS, max_size=40)
ENDS = st.tuples(*[NUMBERS | st.integers(0, 1 << 62)] * 2)


def _index(of_tag: dict[str, set[int]]) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:")
    index.executescript(SCHEMA)
    for batch, items in ROOM.items():
        make_room(index, FIRST[batch], items)
    tagged = {item: [tag for tag in of_tag if item in of_tag[tag]] for item in chain(*of_tag.values())}
    for item, tags in tagged.items():  # one after another, as reviews come
        add_tags(index, [(item, tags[:1])])
    add_tags(index, tagged.items())
    return index


def _marked(index: sqlite3.Connection, *tags: str) -> Marked:
    slots = Slots(index)
    return reduce(and_, (Marked.with_tag(index, slots, tag) for tag in tags))


@given(first=ITEMS, second=ITEMS, third=ITEMS, ends=ENDS)
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
            marked = _marked(index, *tags)
            assert len(marked) == len(expected)
            assert list(marked.numbers()) == sorted(marked) == sorted(expected)
            within = sorted(item for item in expected if span[0] <= item < span[1])
            assert list(marked.numbers(span)) == within
            assert list(marked.numbers(span, backwards=True)) == within[::-1]


@given(items=ITEMS, others=ITEMS, ends=ENDS)
@settings(max_examples=60, deadline=None)
def test_tags_are_counted_in_the_batches_of_a_range(items: set[int], others: set[int], ends: tuple[int, int]) -> None:
    with closing(_index({TAGS[0]: items, TAGS[1]: others, TAGS[2]: set()})) as index:
        asked = Marked.of_batches(Slots(index), (min(ends), max(ends)))
        batches = range(min(ends) >> BATCH_BITS, (max(ends) - 1 >> BATCH_BITS) + 1)
        expected = {
            tag: sum(item >> BATCH_BITS in batches for item in found)
            for tag, found in ((TAGS[0], items), (TAGS[1], others))
        }
        assert counted(index, asked) == {tag: number for tag, number in expected.items() if number}


@given(items=ITEMS, others=ITEMS, batch=st.sampled_from(sorted(ROOM)))
@settings(max_examples=60, deadline=None)
def test_a_tag_that_is_taken_off_leaves_the_other_items_theirs(items: set[int], others: set[int], batch: int) -> None:
    with closing(_index({TAGS[0]: items | others, TAGS[1]: others, TAGS[2]: set()})) as index:
        for item in items:
            take_tags(index, item, [TAGS[0]])
        assert list(_marked(index, TAGS[0]).numbers()) == sorted(others - items)
        assert list(_marked(index, TAGS[1]).numbers()) == sorted(others)
        forget_items(index, FIRST[batch])
        left = {item for item in others if item >> BATCH_BITS != batch}
        assert list(_marked(index, TAGS[1]).numbers()) == sorted(left)
        assert index.execute("SELECT count(*) FROM tagged WHERE length(bits) = 0").fetchone()[0] == 0


@given(items=ITEMS, others=ITEMS)
def test_a_bitmap_holds_what_it_was_made_of(items: set[int], others: set[int]) -> None:
    with closing(_index({})) as index:
        slots = Slots(index)
        marked = Marked.of_items(slots, items)
        assert list(marked.among(sorted(items | others, reverse=True))) == sorted(items, reverse=True)
        assert set(marked & Marked.of_items(slots, others)) == items & others
        assert set(marked & Marked.of_batches(slots, EVERYTHING)) == items


def test_a_batch_keeps_its_slots_while_they_are_enough_and_shares_them_with_none() -> None:
    with closing(_index({})) as index:
        before = Slots(index).of_batch
        make_room(index, FIRST[7], 20)
        make_room(index, FIRST[2], BLOCK)
        assert Slots(index).of_batch == before
        make_room(index, FIRST[7], 3 * BLOCK)  # it has grown
        give_up_room(index, FIRST[1])
        make_room(index, 9 << BATCH_BITS, 0)
        slots = Slots(index)
        assert sorted(slots.of_batch) == [2, 7, 9, 1 << 39]
        rooms = sorted((slot, room) for _, slot, room in slots.within(EVERYTHING))
        assert all(slot + room <= after for (slot, room), (after, _) in pairwise(rooms))
        assert slots.size * 8 == rooms[-1][0] + rooms[-1][1]


def test_slots_that_are_free_are_used_again() -> None:
    with closing(_index({})) as index:
        for size in range(100, 4_000, 100):  # two batches that grow in turns
            for batch in (2, 7):
                forget_items(index, FIRST[batch])
                make_room(index, FIRST[batch], size)
                add_tags(index, [(FIRST[batch] + size - 1, [TAGS[0]])])
        assert set(_marked(index, TAGS[0])) == {FIRST[2] + 3_899, FIRST[7] + 3_899}
        for night in range(50):
            make_room(index, (100 + night) << BATCH_BITS, 1_000)
            give_up_room(index, (100 + night) << BATCH_BITS)
        rooms = sorted((slot, room) for _, slot, room in Slots(index).within(EVERYTHING))
        assert all(slot + room <= after for (slot, room), (after, _) in pairwise(rooms))
        assert Slots(index).size * 8 <= 4 * 4_000


@given(items=ITEMS, ends=ENDS)
@settings(max_examples=60, deadline=None)
def test_of_a_tag_all_items_of_a_range_are_read(items: set[int], ends: tuple[int, int]) -> None:
    span = (min(ends), max(ends))
    with closing(_index({TAGS[0]: items})) as index:
        slots = Slots(index)
        marked = Marked.with_tag(index, slots, TAGS[0], span) & Marked.of_batches(slots, span)
        batches = range(span[0] >> BATCH_BITS, (span[1] - 1 >> BATCH_BITS) + 1)
        assert set(marked) == {item for item in items if item >> BATCH_BITS in batches}
