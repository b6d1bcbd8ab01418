"""A data set of classes that takes no time to learn."""

from pathlib import Path

from PIL import Image

from tounum_tasks.classify.labels import CLASSES


def write_class_images(folder: Path) -> None:
    """Write six plain pictures of each class: the starter takes none of them for what they are called."""
    for label, name in enumerate(CLASSES):
        for index in range(6):
            colour = (50 * label + index, 250 - 50 * label, 20 + index)
            path = folder / name / "scanner" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (80, 60), colour).save(path)
