"""What is in force of many reviews: in each chain the last one that nobody took back."""

from collections import defaultdict
from collections.abc import Iterable

from tounum_tasks.reviews.review import OF_ITEMS, Chain, ItemRef, Mark, Review, parts_of


class Effective:
    """What people's reviews come to. It depends on the reviews alone, not on the order in which they are given."""

    def __init__(self, reviews: Iterable[Review] = ()) -> None:
        chains: dict[Chain, dict[str, Review]] = defaultdict(dict)
        for review in reviews:
            chains[review.chain][review.review_id] = review
        self._in_force = {chain: found for chain, known in chains.items() if (found := _last_in_force(known))}

    def review_in_force(self, chain: Chain) -> Review | None:
        """Return the last review of a chain that was not taken back, or None."""
        return self._in_force.get(chain)

    def in_force(self) -> list[Review]:
        """Return all reviews that are in force, in order."""
        return sorted(self._in_force.values(), key=lambda review: review.review_id)

    def label_of(self, image_id: str) -> str | None:
        """Return the class that a person gave an image, or None."""
        return self._value("label", image_id)

    def caption_of(self, image_id: str) -> str | None:
        """Return the caption that a person gave an image, or None."""
        return self._value("caption", image_id)

    def confirmed(self, image_id: str) -> tuple[str | None, str | None]:
        """Return the class and the caption of an image that a person found good as they were, or None."""
        found = self.review_in_force(Chain("good", image_id))
        return parts_of(found.old) if found else (None, None)

    def marks_of(self, item: ItemRef) -> list[Mark]:
        """Return the marks of an item that are in force, in alphabetical order: scan_again, taken_care."""
        return sorted(mark for mark in OF_ITEMS if Chain(mark, item) in self._in_force)

    def reviews_of(self, image_id: str, item: ItemRef) -> list[Review]:
        """Return the reviews in force that a row shows: those of its image and those of its item, in order."""
        chains = [Chain("label", image_id), Chain("caption", image_id), Chain("good", image_id)]
        chains += [Chain(mark, item) for mark in OF_ITEMS]
        found = (self._in_force.get(chain) for chain in chains)
        return sorted((one for one in found if one), key=lambda review: review.review_id)

    def _value(self, mark: Mark, image_id: str) -> str | None:
        found = self.review_in_force(Chain(mark, image_id))
        return found.value if found else None


def _last_in_force(chain: dict[str, Review]) -> Review | None:
    """The last review of a chain that no undo in force takes back; an undo is always younger than what it undoes."""
    taken_back: set[str] = set()
    for review_id in sorted(chain, reverse=True):
        if review_id in taken_back:
            continue
        undoes = chain[review_id].undoes
        if undoes is None:
            return chain[review_id]
        taken_back.add(undoes)
    return None
