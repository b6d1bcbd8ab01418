"""Reviews are added and put together, and the process is killed at every step: nothing is lost or there twice."""

from pathlib import Path

from tests.crash.killing import run_and_kill
from tests.unit.reviews import a_review
from tounum_tasks.reviews.compaction import compact
from tounum_tasks.reviews.review import Review
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage


def lake_of(folder: Path) -> Storage:
    (folder / "lake").mkdir(parents=True)
    return open_storage(f"file://{folder}/lake")


def some_reviews(lake: Storage, count: int) -> list[Review]:
    found = sorted((a_review("label", "Photo", image_id=str(n)) for n in range(count)), key=lambda one: one.review_id)
    for review in found:
        ReviewStore(lake).add(review)
    return found


def test_compaction_killed_at_every_step(tmp_path: Path) -> None:
    number, killed = 1, True
    while killed:
        lake = lake_of(tmp_path / str(number))
        reviews = some_reviews(lake, 3)
        compact(lake, up_to=reviews[0].review_id)
        killed = run_and_kill(lambda lake=lake, last=reviews[-1]: compact(lake, up_to=last.review_id), number)
        assert ReviewStore(lake).all() == reviews, number
        compact(lake, up_to=reviews[-1].review_id)
        assert ReviewStore(lake).all() == reviews, number
        assert ReviewStore(lake).single() == []
        number += 1
    assert number > 4


def test_a_review_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    number, killed = 1, True
    while killed:
        lake = lake_of(tmp_path / str(number))
        review = a_review("label", "Photo")
        killed = run_and_kill(lambda lake=lake, review=review: ReviewStore(lake).add(review), number)
        assert ReviewStore(lake).all() in ([], [review])
        number += 1
    assert number > 2 and ReviewStore(lake).all() == [review]
