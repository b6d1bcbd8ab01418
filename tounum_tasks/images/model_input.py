"""The pixels that the models see. Training and prediction both go through here."""

import cv2
import numpy as np
from numpy.typing import NDArray

MODEL_SIDE = 299


def to_model_input(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squash uint8 HxWx3 ``rgb`` to uint8 299x299x3; the aspect ratio is not kept, so nothing is cropped
    away.

    A side that is too long shrinks by averaging areas, one that is too short grows by linear interpolation.
    """
    height, width = rgb.shape[:2]
    shrunk = (min(width, MODEL_SIDE), min(height, MODEL_SIDE))
    smaller = cv2.resize(rgb, shrunk, interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, (MODEL_SIDE, MODEL_SIDE), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
