"""The contact sheet: a labelled strip of frames for every shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 4  # frames shown of each shot
_WIDTH = 256
_MARGIN, _LABEL = 8, 22
_MAX_ROWS = 100  # a longer film shows every n-th shot


def sheet_frames(start: int, count: int) -> list[int]:
    """The frames of a shot to show: evenly spaced, not at its very edges."""
    return sorted({start + (2 * index + 1) * count // (2 * COLUMNS) for index in range(COLUMNS)})


def draw_sheet(film: Path, shots: Sequence[tuple[str, str, int, int]], target: Path) -> None:
    """Draw the sheet of a film as PNG; `shots` are (id, label, first frame, frames)."""
    shown = shots[:: -(-len(shots) // _MAX_ROWS)]
    wanted = [number for _, _, start, count in shown for number in sheet_frames(start, count)]
    pictures = dict(_pick(film, wanted))
    first = next(iter(pictures.values()))
    height = round(first.height * _WIDTH / first.width)
    row = height + _LABEL + _MARGIN
    width = COLUMNS * (_WIDTH + _MARGIN) + _MARGIN
    sheet = Image.new("RGB", (width, len(shown) * row + _MARGIN), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for index, (shot, label, start, count) in enumerate(shown):
        top = _MARGIN + index * row
        text = f"{shot}   {label}"
        while draw.textlength(text, font=font) > width - 2 * _MARGIN:
            text = text[:-2].rstrip() + "…"
        draw.text((_MARGIN, top), text, fill=(230, 226, 214), font=font)
        for column, number in enumerate(sheet_frames(start, count)):
            left = _MARGIN + column * (_WIDTH + _MARGIN)
            sheet.paste(pictures[number].resize((_WIDTH, height)), (left, top + _LABEL))
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
