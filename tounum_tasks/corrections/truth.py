"""What people know of images, and which of it may be trained on.

Two kinds are kept apart. *Hard* cases were noticed because something was wrong or doubtful: a model learns most from
them, and figures on them are worse than those on a whole archive. A *sample* was chosen by lot, so that figures on it
are those of the archive: it holds what was found good in it, and what was corrected.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Chain, ItemRef, Review, parts_of

Origin = Literal["hard", "sample"]
Split = Literal["train", "val", "test"]
ORIGINS: tuple[Origin, ...] = ("hard", "sample")
SPLITS: tuple[Split, ...] = ("train", "val", "test")
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Truth:
    """What somebody said of an image.

    Attributes:
        image_id: of the image.
        place: an item that shows it.
        value: its class or its caption.
        origin: how the image came to be looked at.
    """

    image_id: str
    place: ItemRef
    value: str
    origin: Origin


def true_classes(reviews: Effective) -> list[Truth]:
    """Return the classes that people gave or confirmed, by image."""
    return [truth for image_id in _images(reviews) if (truth := _class_of(reviews, image_id))]


def true_captions(reviews: Effective) -> list[Truth]:
    """Return the captions that people gave or confirmed, by image; not of images that they say are no photographs.

    A caption without a word, such as a question mark, is left out: nothing can be learnt from it.
    """
    found = []
    for image_id in _images(reviews):
        known = _class_of(reviews, image_id)
        truth = _caption_of(reviews, image_id)
        if truth and any(map(str.isalnum, truth.value)) and (known is None or known.value == PHOTO):
            found.append(truth)
    return found


def split_of(image_id: str) -> Split:
    """Return what an image is for, for good: of 10 images 2 are for tests, 1 for validation.

    It follows from the image alone, so that what one model was tested on is never learnt by the next.
    """
    drawn = int(hashlib.sha256(f"corrections {image_id}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if drawn < TEST_SHARE else "val" if drawn < TEST_SHARE + VALIDATION_SHARE else "train"


def _images(reviews: Effective) -> list[str]:
    return sorted({review.image_id for review in reviews.in_force() if review.mark in ("label", "caption", "good")})


def _class_of(reviews: Effective, image_id: str) -> Truth | None:
    given = reviews.review_in_force(Chain("label", image_id))
    good = reviews.review_in_force(Chain("good", image_id))
    return _latest((given, given.value if given else None), (good, parts_of(good.old)[0] if good else None))


def _caption_of(reviews: Effective, image_id: str) -> Truth | None:
    given = reviews.review_in_force(Chain("caption", image_id))
    good = reviews.review_in_force(Chain("good", image_id))
    return _latest((given, given.value if given else None), (good, parts_of(good.old)[1] if good else None))


def _latest(*said: tuple[Review | None, str | None]) -> Truth | None:
    """The later of what was said, if anything was."""
    known: Iterable[tuple[Review, str]] = [(review, value) for review, value in said if review and value]
    latest = max(known, key=lambda one: one[0].review_id, default=None)
    if latest is None:
        return None
    review, value = latest
    return Truth(review.image_id, review.item, value, "sample" if review.sample else "hard")
