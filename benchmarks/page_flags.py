"""How often the flags of pages are right.

    python benchmarks/page_flags.py skew|sideways|blanks|several|borders|negatives --data DIR [--seed N]

DIR holds pictures in folders of their class and source (``Text/office``, ``Photo/oldphotos``, ...), and for
``sideways`` PDF files with printed pages in ``Text/pdf`` and folders below it; the rest is drawn.
Thresholds were chosen on drawn pages and on pictures of these sources, some of which were looked at before: these
figures say how well flags suit them, not how well they suit what nobody has seen.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pypdfium2

from benchmarks import drawn_pages as drawn
from tounum_tasks.page_flags.look import PageLook, look_at
from tounum_tasks.sample import texts

WRITTEN = ("Text/office", "Text/sroie", "Text/typed")
DRAWN = ("Schematics/bpmnmiwg", "Schematics/vegalite", "Schematics/circuits24", "Sketch/tuberlin")
HANDWRITTEN = ("Text/poilus", "Text/medieval", "Text/funsd")
PICTURES = ("Photo/pacs", "Photo/oldphotos", "Painting/peopleart", "Painting/pacs")


def main() -> None:
    """Print the figures of one flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flag", choices=sorted(MEASURED))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1_000)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    MEASURED[arguments.flag](arguments.data, np.random.default_rng(arguments.seed))


def skew(data: Path, rng: np.random.Generator) -> None:
    """Error of the angle between a page and the same page turned; straight pages and pictures that are called so."""
    large = (drawn.written(rng, int(rng.integers(1_000, 3_500))) for _ in range(200))
    print_errors("drawn pages of 1,000 to 3,500 pixels", large, rng)
    print_errors("small pages", pictures(data, WRITTEN, 500), rng)
    print_called("straight drawn pages", (drawn.written(rng, 1_754) for _ in range(500)), is_skewed)
    print_called("pictures", pictures(data, PICTURES, 500), is_skewed)
    print_milliseconds(drawn.written(rng, 500), drawn.written(rng, 3_508))


def sideways(data: Path, rng: np.random.Generator) -> None:
    """Turned pages of print that are found with the right turn, and upright pages and pictures that are flagged."""
    print_turns("drawn pages", (drawn.prose(rng, int(rng.integers(1_000, 3_500))) for _ in range(100)), rng)
    print_turns("printed pages", printed(data / "Text/pdf", rng, 300), rng)
    print_called("upright printed pages", printed(data / "Text/pdf", rng, 500, fewest=0), is_flagged("sideways"))
    print_called("upright drawn pages", (drawn.written(rng, 1_754) for _ in range(100)), is_flagged("sideways"))
    for what, sources in (("pages", WRITTEN + HANDWRITTEN), ("drawings", DRAWN), ("pictures", PICTURES)):
        enlarged = (cv2.resize(picture, None, fx=3, fy=3) for picture in pictures(data, sources, 500))
        print_called(f"upright {what}, three times as large", enlarged, is_flagged("sideways"))
    print_milliseconds(drawn.prose(rng, 500), drawn.prose(rng, 3_508))


def blanks(data: Path, rng: np.random.Generator) -> None:
    """Empty pages that are found, by kind, and written ones that are taken for empty."""
    for kind in drawn.EMPTY:
        print_called(f"empty pages, {kind}", (drawn.empty(rng, kind) for _ in range(200)), is_flagged("blank"))
    print_called("written pages", pictures(data, WRITTEN, 500), is_flagged("blank"))
    print_called("drawings", pictures(data, ("Sketch/tuberlin", "Schematics/uml"), 500), is_flagged("blank"))
    print_called("drawn pages with one line", (drawn.one_line(rng) for _ in range(500)), is_flagged("blank"))


def several(data: Path, rng: np.random.Generator) -> None:
    """Boxes of photographs on a sheet that are right, touching ones that are told, and sheets with one photograph."""
    shown = list(pictures(data, ("Photo/pacs", "Photo/oldphotos", "Photo/oldnyc"), 400))

    def sheets(count: int, ground: str, most: int, **how: bool) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        for _ in range(count):
            chosen = rng.choice(len(shown), 1 if most == 1 else int(rng.integers(2, most + 1)), replace=False)
            yield drawn.album(rng, [shown[number] for number in chosen], ground, **how)

    for ground in drawn.GROUNDS:
        right = [
            overlap_of(look_at(sheet).photo_boxes, box) > 0.9 for sheet, boxes in sheets(60, ground, 4) for box in boxes
        ]
        print(f"{ground} ground, boxes with an IoU above .9: {sum(right)} of {len(right)}")
    joined = (sheet for ground in drawn.GROUNDS for sheet, _ in sheets(30, ground, 2, overlap=True))
    print_called("overlapping photographs that are flagged", joined, is_flagged("several"))
    single = (sheet for ground in drawn.GROUNDS for sheet, _ in sheets(100, ground, 1))
    print_called("sheets with one photograph that are flagged", single, is_flagged("several"))
    print_called(
        "pages and pictures that are flagged", pictures(data, (*WRITTEN, *PICTURES), 500), is_flagged("several")
    )
    pairs = [(rng.choice(len(shown), 2, replace=False), ground) for ground in drawn.GROUNDS for _ in range(60)]
    beside = (drawn.touching(rng, shown[first], shown[second], ground) for (first, second), ground in pairs)
    print_called("photographs whose sides touch that are flagged", beside, is_flagged("several"))


def borders(data: Path, rng: np.random.Generator) -> None:
    """Drawn borders that are found and cut nothing off, and pictures without one, which have no box."""
    shown = list(pictures(data, (*WRITTEN, *PICTURES), 210))
    found = [(look_at(page), box) for page, box in (drawn.bordered(rng, picture) for picture in shown)]
    told = [(np.array(look.content_box), np.array(box)) for look, box in found if look.content_box is not None]
    print(f"borders that are found: {len(told)} of {len(found)}")
    cut = [max(0, *(given - box)[:2], *(box - given)[2:]) for given, box in told]
    left = [max(0, *(box - given)[:2], *(given - box)[2:]) for given, box in told]
    print(f"content outside the box: at most {max(cut)} pixels; border inside it: median {np.median(left):.0f} pixels")
    print_called(
        "pictures of a source without borders",
        pictures(data, ("Sketch/tuberlin", "Photo/pacs"), 500),
        is_flagged("border"),
    )


def negatives(data: Path, rng: np.random.Generator) -> None:
    """Drawn film that is told, by kind, and positives that are taken for negatives."""
    shown = list(pictures(data, ("Photo/pacs", "Photo/oldnyc"), 200))
    for kind in drawn.FILM:
        print_called(f"{kind} on film", (drawn.film(rng, picture, kind) for picture in shown), is_flagged("negative"))
    print_called("pages and pictures", pictures(data, (*WRITTEN, *PICTURES), 1_000), is_flagged("negative"))


def overlap_of(found: Sequence[Sequence[float]], box: np.ndarray) -> float:
    """Return the largest intersection over union of a box, float32 4x2, with those that were found."""
    best = 0.0
    for corners in found:
        other = np.array(corners, np.float32).reshape(4, 2)
        common = cv2.intersectConvexConvex(other, box)[0]
        best = max(best, common / (cv2.contourArea(other) + cv2.contourArea(box) - common))
    return best


MEASURED: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "skew": skew, "sideways": sideways, "blanks": blanks, "several": several, "borders": borders,
    "negatives": negatives,
}  # fmt: skip


def pictures(data: Path, sources: Sequence[str], count: int) -> Iterator[np.ndarray]:
    """Yield pictures of some sources, the same number of each as far as there are."""
    for source in sources:
        paths = sorted((data / source).iterdir())
        random.Random(1).shuffle(paths)
        for path in paths[: -(-count // len(sources))]:
            yield cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def printed(folder: Path, rng: np.random.Generator, count: int, *, fewest: int = 1_500) -> Iterator[np.ndarray]:
    """Yield pages of PDF files below a folder, a page of each, as a scanner sees them: 1,000 to 2,000 pixels high.

    Args:
        fewest: characters on a page, so that there are lines of print.
    """
    paths = sorted(folder.rglob("*.pdf"))
    random.Random(1).shuffle(paths)
    for path in paths:
        if count == 0:
            return
        document = pypdfium2.PdfDocument(path)
        page = document[int(rng.integers(len(document)))]
        scale = float(rng.uniform(1_000, 2_000)) / max(page.get_size())
        if max(page.get_size()) < 2_000 and page.get_textpage().count_chars() >= fewest:
            grey = page.render(scale=scale, grayscale=True).to_numpy()
            count -= 1
            yield texts.scanned(grey, count, skew_degrees=float(rng.uniform(-2, 2)))
        document.close()


def is_skewed(look: PageLook) -> bool:
    """Whether a page is said to be turned by more than .3 degrees."""
    return look.skew_degrees is not None and abs(look.skew_degrees) > 0.3


def is_flagged(name: str) -> Callable[[PageLook], bool]:
    """Return what tells whether a page has a flag."""
    return lambda look: name in [flag.flag for flag in look.flags]


def print_called(what: str, pages: Iterator[np.ndarray], is_called: Callable[[PageLook], bool]) -> None:
    """Print how many pages are called something."""
    called = [is_called(look_at(page)) for page in pages]
    print(f"{what}: {sum(called)} of {len(called)}")


def print_errors(what: str, pages: Iterator[np.ndarray], rng: np.random.Generator) -> None:
    """Print by how much the angle that is told changes otherwise than the page was turned, in degrees."""
    errors, count = [], 0
    for page in pages:
        degrees = float(rng.uniform(-8, 8))
        before, after = look_at(page).skew_degrees, look_at(drawn.turned(page, degrees)).skew_degrees
        count += 1
        if before is not None and after is not None:
            errors.append(abs(after - before - degrees))
    mean, median = np.mean(errors), np.median(errors)
    within = np.mean(np.array(errors) <= 0.2)
    print(f"{what}: mean {mean:.3f}, median {median:.3f}, {within:.1%} within .2; told of {len(errors)} of {count}")


def print_turns(what: str, pages: Iterator[np.ndarray], rng: np.random.Generator) -> None:
    """Print how many turned pages are found, and of how many the turn that is told is right."""
    told = []
    for page in pages:
        quarters = int(rng.integers(1, 4))
        told.append((look_at(np.ascontiguousarray(np.rot90(page, quarters))).turn_degrees, 90 * quarters))
    right = sum(turn == truth for turn, truth in told)
    wrong = sum(turn not in (truth, None) for turn, truth in told)
    print(f"{what}, turned: {right} of {len(told)} found with the right turn, {wrong} with a wrong one")


def print_milliseconds(*pages: np.ndarray) -> None:
    """Print the processor time of all flags together."""
    for page in pages:
        spent = []
        for _ in range(15):
            started = time.process_time()
            look_at(page)
            spent.append(time.process_time() - started)
        print(f"{page.shape[1]} x {page.shape[0]}: {1e3 * np.median(spent):.0f} ms of processor")


if __name__ == "__main__":
    main()
