"""Heatmaps laid over the images they are about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: How much of the colour lies over the image where the map is largest.
OPACITY = 0.65


def overlay(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32], *, peak: float | None = None) -> NDArray[np.uint8]:
    """An image in grey under the colours of its heatmap: from nothing at 0 and below to dark red at the peak.

    Args:
        pixels: uint8 (h, w, 3).
        heatmap: float (h, w); positive where something speaks for a class.
        peak: The value that is dark red; the map's largest if left out. Maps that are compared need the same one:
            the traces of evidence for an improbable class would look as strong as all of that for the predicted one.

    Returns:
        uint8 (h, w, 3).
    """
    from matplotlib import colormaps

    peak = float(heatmap.max()) if peak is None else peak
    strength = np.clip(heatmap / peak, 0, 1) if peak > 0 else np.zeros_like(heatmap)
    colours = colormaps["turbo"](strength)[..., :3] * 255
    share = OPACITY * np.sqrt(strength)[..., None]
    blended = pixels.mean(axis=2, keepdims=True) * (1 - share) + colours * share
    return np.asarray(np.round(blended), np.uint8)
