"""A film's poster: a few of its pictures side by side, small enough to stand in a page."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from farm.media.sheet import picture_boxes

PICTURES = 8
MOST_BYTES = 40_000
_GAP = 4
_SIZES = [(height, quality) for height in (120, 80, 48) for quality in (80, 60, 40)]  # the best that fits


def poster(sheet: bytes, frames: Sequence[int]) -> bytes | None:
    """Draw a strip, as JPEG, from a film's contact sheet: the middles of shots evenly chosen over the film.

    `frames` are those of each of its shots. None for a sheet that cannot be read, or is of other shots.
    """
    try:
        with Image.open(BytesIO(sheet), formats=["PNG"]) as image:
            picture = image.convert("RGB")
            rows = picture_boxes(image.height, frames)
            count = min(PICTURES, len(rows))
            chosen = [rows[(2 * index + 1) * len(rows) // (2 * count)] for index in range(count)]
            pictures = [picture.crop(row[len(row) // 2]) for row in chosen]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what damage may look like
        return None
    return next((data for size in _SIZES if len(data := _strip(pictures, *size)) <= MOST_BYTES), None)


def _strip(pictures: Sequence[Image.Image], height: int, quality: int) -> bytes:
    first = pictures[0]
    width = max(1, round(first.width * height / first.height))
    strip = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height))
    for index, picture in enumerate(pictures):
        strip.paste(picture.resize((width, height)), (index * (width + _GAP), 0))
    target = BytesIO()
    strip.save(target, format="JPEG", quality=quality, optimize=True)
    return target.getvalue()
