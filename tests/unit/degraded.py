"""Photographs that were degraded on purpose, for the tests of enhancement."""

import cv2
import numpy as np


def with_noise(rgb, sigma, *, grey=False):
    """Add Gaussian noise, the same in all channels if ``grey``."""
    shape = (*rgb.shape[:2], 1) if grey else rgb.shape
    noise = np.random.default_rng(7).normal(0, sigma, shape)
    return np.clip(np.rint(rgb + noise), 0, 255).astype(np.uint8)


def blurred(rgb, sigma):
    """Blur by a Gaussian of ``sigma`` pixels."""
    return cv2.GaussianBlur(rgb, (0, 0), sigma)


def psnr(clean, other):
    """Return the peak signal-to-noise ratio in dB."""
    error = np.mean((clean.astype(np.float64) - other) ** 2)
    return 10 * np.log10(255**2 / error) if error else np.inf


def text_page(noise=0.0):
    """Draw a page of text, black on white, or on paper with noise."""
    page = np.full((420, 600, 3), 255 if not noise else 225, np.uint8)
    for line in range(10):
        text = f"{line + 1}. The archive was moved in {1890 + line}."
        cv2.putText(page, text, (20, 40 + 38 * line), cv2.FONT_HERSHEY_COMPLEX, 0.7, (20, 20, 20), 1, cv2.LINE_AA)
    return with_noise(page, noise) if noise else page
