"""The data set of a retraining: found below the configured root, and divided so that the test images stay unseen.

The division depends on the bytes of the images alone: two models that were trained on one data set, whenever and under
whatever names, are compared on images that neither of them has seen.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, TypeVar

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.corrections.truth import ORIGINS
from tounum_tasks.datasets.captions import CaptionData, CaptionedImage, captioned, joined, load_captions
from tounum_tasks.datasets.classes import TEST_FOLDER, Example, list_examples, read_class_folders, split
from tounum_tasks.datasets.lots import drawn, hashes_of_files
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.names import validate_relative_path
from tounum_tasks.settings import Settings
from tounum_tasks.visible import display_name

Tested = TypeVar("Tested", CaptionedImage, Example)

TEST_SHARE = 0.15


CORRECTIONS = "corrections"  # names what people corrected and confirmed in the lake, rather than a folder
CORRECTED_TESTS = "what people corrected and confirmed, dealt by hash"


@dataclass(frozen=True)
class Captions:
    """Captioned images with the splits ``train``, ``dev`` and ``test``.

    Attributes:
        test_source: says what the test images are.
        groups: those of them that people corrected (hard) or that were chosen by lot (sample).
    """

    data: CaptionData
    test_source: str
    groups: dict[str, list[CaptionedImage]] = field(default_factory=dict)

    def without_tests(self, left_out: Set[Path]) -> Self:
        """Return the same without some test images.

        Raises:
            ConfigurationError: none is left.
        """
        kept = tuple(image for image in self.data.images if image.split != "test" or image.path not in left_out)
        data = replace(self.data, images=kept)
        if not data.split("test"):
            raise ConfigurationError("no other is left to test on, add some.")
        return replace(self, data=data, groups=_without(self.groups, left_out))


@dataclass(frozen=True)
class ClassData:
    """Labelled images: ``training`` is what a training may use (it keeps some to validate on), ``test`` is not.

    ``fingerprint`` is of what a training may use. ``groups`` are those test images that people corrected (hard) or that
    were chosen by lot (sample).
    """

    training: tuple[Example, ...]
    test: tuple[Example, ...]
    fingerprint: str
    test_source: str
    groups: dict[str, list[Example]] = field(default_factory=dict)

    def without_tests(self, left_out: Set[Path]) -> Self:
        """Return the same without some test images.

        Raises:
            ConfigurationError: no image of a class is left.
        """
        test = tuple(example for example in self.test if example.path not in left_out)
        if missing := _missing_classes(test):
            raise ConfigurationError(f"no other is left of class {missing} to test on, add some.")
        return replace(self, test=test, groups=_without(self.groups, left_out))


def find_data_set(name: str, settings: Settings) -> Path:
    """Return the path of a data set below the root of data sets.

    Args:
        name: relative path of a folder or file, as a person typed it.

    Raises:
        ConfigurationError: the root is missing, the name is no relative path, leaves the root or names nothing.
    """
    root = datasets_folder(settings)
    shown = display_name(name)[:200]
    try:
        relative = validate_relative_path(name.removesuffix("/"))
    except ItemError as error:
        raise ConfigurationError(
            f"'{shown}' is no data set: give the path of a folder or file below {root}, without '..' and not "
            f"absolute; there are: {_known(root)}."
        ) from error
    path = root / relative
    if not path.exists():
        raise ConfigurationError(f"There is no data set '{shown}' in {root}; there are: {_known(root)}.")
    check_inside(root, [path])
    return path


def datasets_folder(settings: Settings) -> Path:
    """Return the root of the data sets.

    Raises:
        ConfigurationError: it does not exist.
    """
    root = Path(settings.datasets_root.removeprefix("file://"))
    if not root.is_dir():
        raise ConfigurationError(
            f"The folder of data sets {root} does not exist: create it or set TOUNUM_DATASETS_ROOT."
        )
    return root


def read_caption_data(name: str, settings: Settings, corrections: Path | None = None) -> Captions:
    """Read a captioned data set with the splits ``train``, ``dev`` and ``test``.

    Where it brings no test images, half of its dev images become test images, chosen by their bytes.

    Args:
        name: of the data set; ``corrections`` is what was exported alone.
        corrections: an export of what people corrected and confirmed, which is added.

    Raises:
        ConfigurationError: it cannot be used; the sentence says why.
    """
    parts, sources = [], []
    if name != CORRECTIONS:
        data, source = _uncorrected_captions(name, settings)
        parts.append(data)
        sources.append(source)
    groups: dict[str, list[CaptionedImage]] = {}
    if corrections and (corrections / "captions").is_dir():
        corrected = load_captions(corrections / "captions")
        parts.append(corrected)
        sources.append(CORRECTED_TESTS)
        groups = _by_origin(corrected.split("test"))
    if not parts:
        raise ConfigurationError("Nobody has corrected or confirmed a caption yet: there is nothing to train on.")
    data, test_source = joined(parts), ", and ".join(sources)
    for purpose in ("train", "test"):
        if not data.split(purpose):
            raise ConfigurationError(f"Data set '{display_name(name)}' has no images to {purpose} on: add some.")
    return Captions(data, test_source, groups)


def _uncorrected_captions(name: str, settings: Settings) -> tuple[CaptionData, str]:
    """The data set below the root of data sets, and what its test images are."""
    path = find_data_set(name, settings)
    data = load_captions(path)
    check_inside(datasets_folder(settings), (image.path for image in data.images))
    return (data, "its split test") if data.split("test") else (_with_test_split(data), "half of its split dev")


def _with_test_split(data: CaptionData) -> CaptionData:
    chosen = _dealt_to_test((image.path for image in data.split("dev")), share=0.5)

    def divided(image: CaptionedImage) -> CaptionedImage:
        return replace(image, split="test") if image.path in chosen else image

    return captioned(map(divided, data.images))


def _dealt_to_test(paths: Iterable[Path], share: float) -> set[Path]:
    """Those of some images that are for tests, by their bytes: adding images moves no other one."""
    hashes = hashes_of_files(paths)
    chosen = drawn(hashes.values(), "test", share)
    return {path for path, sha256 in hashes.items() if sha256 in chosen}


def read_class_data(name: str, settings: Settings, corrections: Path | None = None) -> ClassData:
    """Read a data set of one folder per class.

    Test images are those of its folder ``test`` (one folder per class again), which ought to hold sources that the
    others do not; without that folder, 15 % of the images and at least one of a class, chosen by their bytes.

    Args:
        name: of the data set; ``corrections`` is what was exported alone.
        corrections: an export of what people corrected and confirmed, which is added.

    Raises:
        ConfigurationError: it cannot be used; the sentence says why.
    """
    from tounum_tasks.training.classifier_recipe import Recipe

    training: list[Example] = []
    test: list[Example] = []
    sources = []
    if name != CORRECTIONS:
        training, test, source = _uncorrected_classes(name, settings)
        sources.append(source)
    groups: dict[str, list[Example]] = {}
    if corrections:
        corrected = _corrected_examples(corrections / "classes" / TEST_FOLDER)
        training, test = [*training, *_corrected_examples(corrections / "classes")], [*test, *corrected]
        sources.append(CORRECTED_TESTS)
        groups = _by_origin(corrected)
    trained_on, validated_on = split(training, Recipe().validation_share)
    for part, purpose in ((trained_on, "train"), (test, "test")):
        if missing := _missing_classes(part):
            raise ConfigurationError(
                f"Data set '{display_name(name)}' has no images of class {missing} to {purpose} on: add some."
            )
    if not validated_on:
        raise ConfigurationError(f"Data set '{display_name(name)}' has no images to validate on: add some.")
    content = [[example.source, example.path.name, example.path.stat().st_size] for example in training]
    return ClassData(tuple(training), tuple(test), fingerprint(classes=content), ", and ".join(sources), groups)


def _uncorrected_classes(name: str, settings: Settings) -> tuple[list[Example], list[Example], str]:
    """The data set below the root of data sets: what to train on, what to test on, and what the latter is."""
    root = find_data_set(name, settings)
    examples = read_class_folders(root)
    if (root / TEST_FOLDER).is_dir():
        training, test, source = examples, read_class_folders(root / TEST_FOLDER), f"its folder {TEST_FOLDER}"
    else:
        training, test = _hold_back(examples)
        source = f"{TEST_SHARE:.0%} of its images, held out by their bytes"
    check_inside(datasets_folder(settings), (example.path for example in [*training, *test]))
    return training, test, source


def _corrected_examples(root: Path) -> list[Example]:
    """Images of an export; their sources are called so that no folder of a data set has the same name."""
    return [
        replace(example, source=f"{CLASSES[example.label]}/{CORRECTIONS} {example.path.parent.name}")
        for example in list_examples(root)
    ]


def _missing_classes(examples: Iterable[Example]) -> str:
    present = {example.label for example in examples}
    return ", ".join(name for label, name in enumerate(CLASSES) if label not in present)


def _without(groups: dict[str, list[Tested]], left_out: Set[Path]) -> dict[str, list[Tested]]:
    """Groups of test images without some; groups of which nothing is left go."""
    kept = {origin: [image for image in found if image.path not in left_out] for origin, found in groups.items()}
    return {origin: found for origin, found in kept.items() if found}


def _by_origin(tests: Sequence[Tested]) -> dict[str, list[Tested]]:
    """Exported test images by the folder in which they lie: hard, sample."""
    return {
        origin: found for origin in ORIGINS if (found := [image for image in tests if image.path.parent.name == origin])
    }


def _hold_back(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    held: set[Path] = set()
    for label in range(len(CLASSES)):
        held |= _dealt_to_test((example.path for example in examples if example.label == label), TEST_SHARE)
    return [example for example in examples if example.path not in held], [e for e in examples if e.path in held]


def check_inside(root: Path, paths: Iterable[Path]) -> None:
    """Refuse whatever leads out of the root by a symbolic link, or by a name in a table.

    Raises:
        ConfigurationError: a path does.
    """
    real_root = root.resolve()
    for path in paths:
        if not path.resolve().is_relative_to(real_root):
            raise ConfigurationError(
                f"{display_name(str(path))} leads out of the folder of data sets {root}: copy the data into it."
            )


def _known(root: Path) -> str:
    names: Sequence[str] = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    shown = ", ".join(display_name(name) for name in names[:20])
    return (shown + ", ..." if len(names) > 20 else shown) or "none"
