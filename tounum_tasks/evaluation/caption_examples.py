"""The best, the ordinary and the worst captions of an evaluation, with pictures of where the captioner looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tounum_tasks.caption.captioner import Caption
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.evaluation.attention import attention_in_fog
from tounum_tasks.images.decode import decode
from tounum_tasks.pages.pictures import Picture, Pictures, shrink

BEST = WORST = 20
ORDINARY = 10
IMAGE_SIDE = 400
WORD_SIDE = 168
# As base64; with the text around it a page stays below fifteen megabytes.
PICTURE_BYTES = 14_000_000


@dataclass(frozen=True)
class CaptionExample:
    """One image with our caption and what was looked at for each word of it.

    Attributes:
        cider: of the caption, 0 to 10.
        rank: 1 is the best of all images.
        others: captions found by other searches, by the search's name, where they differ.
    """

    image: CaptionedImage
    caption: Caption
    cider: float
    rank: int
    others: dict[str, str]
    picture: Picture
    words: list[tuple[str, Picture]]


def ranking(scores: Sequence[float]) -> list[int]:
    """Indices of the images from the best score to the worst; equal scores in the order of the images."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


def places(images: int) -> tuple[range, range, range]:
    """Which places of the ranking are shown as the best, the ordinary and the worst; they never overlap."""
    best = min(BEST, (images + 1) // 2)
    worst = min(WORST, images - best)
    ordinary = min(ORDINARY, images - best - worst)
    middle = best + (images - best - worst - ordinary) // 2
    return range(best), range(middle, middle + ordinary), range(images - 1, images - 1 - worst, -1)


def examples(
    images: Sequence[CaptionedImage],
    captions: Mapping[str, Sequence[Caption]],
    scores: Sequence[float],
    *,
    search: str,
) -> tuple[list[CaptionExample], ...]:
    """The best (best first), the ordinary and the worst (worst first) captions.

    Args:
        captions: by search, of all images in order.
        scores: CIDEr of every caption of ``search``.
        search: the one that is shown.

    Raises:
        ConfigurationError: an image cannot be read any more.
    """
    order = ranking(scores)
    pictures = Pictures([], PICTURE_BYTES)

    def example(place: int) -> CaptionExample:
        index = order[place]
        image, caption = images[index], captions[search][index]
        try:
            pixels = decode(image.path.read_bytes()).rgb
        except (OSError, ItemError) as error:
            raise ConfigurationError(f"{image.path} cannot be shown: {error}.") from error
        small = shrink(pixels, WORD_SIDE)
        words = [
            (word, pictures.picture(attention_in_fog(small, weights)))
            for word, weights in zip(caption.words, caption.attention, strict=True)
        ]
        others = {
            name: found[index].text
            for name, found in captions.items()
            if name != search and found[index].text != caption.text
        }
        picture = pictures.picture(shrink(pixels, IMAGE_SIDE))
        return CaptionExample(image, caption, scores[index], place + 1, others, picture, words)

    return tuple([example(place) for place in group] for group in places(len(images)))
