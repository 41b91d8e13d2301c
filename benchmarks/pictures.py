"""Rendered contact sheets as small pictures for the documentation."""

from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

SHRINK, QUALITY = 2, 90  # rendered pixels per pixel of a picture; of its JPEG


def write_jpeg(sheets: Sequence[Path], file: Path) -> None:
    """Sheets of one width below each other."""
    pixels = np.concatenate([_shrunk(sheet) for sheet in reversed(sheets)])  # the lowest row first
    whole = bpy.data.images.new(file.stem, pixels.shape[1], pixels.shape[0])
    whole.pixels.foreach_set(pixels.ravel())
    whole.file_format = "JPEG"
    whole.save(filepath=str(file), quality=QUALITY)


def _shrunk(sheet: Path) -> NDArray[np.float32]:
    """Pixels (height, width, 4). The mean of neighbouring ones: noise goes, with it most bytes."""
    image = bpy.data.images.load(str(sheet))
    width, height = (size // SHRINK * SHRINK for size in image.size)
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], 4)[:height, :width]
    blocks = pixels.reshape(height // SHRINK, SHRINK, width // SHRINK, SHRINK, 4)
    return blocks.mean(axis=(1, 3))
