"""Rendered contact sheets as small pictures for the documentation."""

from pathlib import Path

import bpy
import numpy as np

SHRINK, QUALITY = 2, 90  # rendered pixels per pixel of a picture; of its JPEG


def write_jpeg(whole: Path, file: Path) -> None:
    """The mean of neighbouring pixels: noise goes, and with it most bytes."""
    image = bpy.data.images.load(str(whole))
    width, height = (size // SHRINK * SHRINK for size in image.size)
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], 4)[:height, :width]
    small = pixels.reshape(height // SHRINK, SHRINK, width // SHRINK, SHRINK, 4).mean(axis=(1, 3))
    sheet = bpy.data.images.new(file.stem, width // SHRINK, height // SHRINK)
    sheet.pixels.foreach_set(small.ravel())
    sheet.file_format = "JPEG"
    sheet.save(filepath=str(file), quality=QUALITY)
