"""The colour space in which noise and the detail of nature are told apart."""

import numpy as np

OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)
"""Orthonormal: one brightness and two colour planes in which white noise keeps its strength."""
