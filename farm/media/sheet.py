"""The contact sheet: a labelled strip of frames for every shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import av
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 4  # frames shown of each shot
_WIDTH = 256
_MARGIN, _LABEL = 8, 22
_MAX_ROWS = 100  # a longer film shows every n-th shot

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""
T = TypeVar("T")


def sheet_frames(start: int, count: int) -> list[int]:
    """The frames of a shot to show: evenly spaced, not at its very edges."""
    return sorted({start + (2 * index + 1) * count // (2 * COLUMNS) for index in range(COLUMNS)})


def _shown(shots: Sequence[T]) -> Sequence[T]:
    return shots[:: -(-len(shots) // _MAX_ROWS)]


def picture_boxes(height: int, frames: Sequence[int]) -> list[list[Box]]:
    """Where the pictures of each row lie on a sheet of that height, for shots of so many frames.

    Raises:
        ValueError: when a sheet of those shots is not that high.
    """
    rows = _shown(frames)
    row, rest = divmod(height - _MARGIN, len(rows))
    tall = row - _LABEL - _MARGIN
    if rest or tall < 1:
        raise ValueError(f"a sheet of {len(rows)} rows is not {height} pixels high")
    found = []
    for index, count in enumerate(rows):
        top = _MARGIN + index * row + _LABEL
        lefts = [_MARGIN + column * (_WIDTH + _MARGIN) for column in range(len(sheet_frames(0, count)))]
        found.append([(left, top, left + _WIDTH, top + tall) for left in lefts])
    return found


def draw_sheet(film: Path, shots: Sequence[tuple[str, str, int, int]], target: Path) -> None:
    """Draw the sheet of a film as PNG; `shots` are (id, label, first frame, frames)."""
    shown = _shown(shots)
    wanted = [number for _, _, start, count in shown for number in sheet_frames(start, count)]
    pictures = dict(_pick(film, wanted))
    first = next(iter(pictures.values()))
    height = round(first.height * _WIDTH / first.width)
    row = height + _LABEL + _MARGIN
    width = COLUMNS * (_WIDTH + _MARGIN) + _MARGIN
    sheet = Image.new("RGB", (width, len(shown) * row + _MARGIN), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    boxes = picture_boxes(sheet.height, [count for _, _, _, count in shown])
    for (shot, label, start, count), places in zip(shown, boxes, strict=True):
        text = f"{shot}   {label}"
        while draw.textlength(text, font=font) > width - 2 * _MARGIN:
            text = text[:-2].rstrip() + "…"
        draw.text((_MARGIN, places[0][1] - _LABEL), text, fill=(230, 226, 214), font=font)
        for number, (left, top, _, _) in zip(sheet_frames(start, count), places, strict=True):
            sheet.paste(pictures[number].resize((_WIDTH, height)), (left, top))
    sheet.save(target, format="PNG", optimize=True)


def _pick(film: Path, wanted: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
    """Decode a film once and pick frames by their number."""
    left = set(wanted)
    with av.open(str(film)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in left:
                yield number, frame.to_image()
                left.discard(number)
                if not left:
                    return
