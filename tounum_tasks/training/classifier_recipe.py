"""How a classifier is trained."""

from dataclasses import dataclass

from tounum_tasks.training.options import option


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training does, besides the data and the initial weights.

    Attributes:
        batch_size: images per step.
        label_smoothing: share of the target given to the other classes: some labels are wrong.
        validation_share: share of the images that is only validated on.
    """

    architecture: str = option(
        "inception-roots",
        "inception-roots, inception-spread (reads no roots), or the small network of the notebooks",
        choices=("inception-roots", "inception-spread", "notebook"),
    )
    views: int = option(
        1,
        "copies of each image that the head is fitted to; the first is the image itself, the others are damaged",
        metavar="N",
    )
    renderings: int = option(
        120, "images rendered in each manner: old prints, pencil, blueprints, ...", metavar="N"
    )  # of training.rendered_sources
    unknown: int = option(
        80,
        "images drawn of each kind that is none of the classes, to be doubted: maps, stamps, blank pages, ...; 0: none",
        metavar="N",
    )
    l2: float = option(7e-3, "of the head's weights", metavar="PENALTY")
    agreement: float = option(
        1.0,
        "how little the head makes of what tells one source of a class from another; 0: that does not matter",
        metavar="PENALTY",
    )
    photo_cost: float = option(
        0.03,
        "how much a photograph's score has to be above the others', where 1 is a whole class: a drawing among the "
        "photographs costs more than a photograph in review",
        metavar="SCORE",
    )
    passes: float = option(0.5, "passes over the images with all layers trained", metavar="N")
    batch_size: int = 32
    learning_rate: float = option(
        1e-5,
        "peak of Adam's; warmed up over the first tenth, then a cosine down to zero",
        metavar="RATE",
    )
    patience: int = option(5, "stop after N checkpoints that were not better", metavar="N")
    int8: bool = option(
        False, "measure the ranges of activations, so that the version computes in int8: faster, a little less exact"
    )
    label_smoothing: float = 0.05
    validation_share: float = 0.15
    seed: int = option(0, "of drawing and damaging", metavar="N")
