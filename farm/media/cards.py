"""Title and end cards, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from farm.media.fades import fade_in, fade_out

Frame = NDArray[np.uint8]
PAPER, INK, PALE = (244, 236, 218), (52, 44, 58), (122, 110, 106)
MARGIN = 0.1  # of the width, kept free on each side


def draw_card(title: str, lines: Sequence[str], width: int, height: int) -> Frame:
    """Draw a card: the title large, the lines small under it: uint8 [height, width, 3]."""
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    room = width * (1 - 2 * MARGIN)
    rows = [(row, height / 8, INK) for row in _rows(draw, title, height / 8, room, 3)]
    rows += [
        (row, height / 18, PALE) for line in lines[:4] for row in _rows(draw, line, height / 18, room, 1)
    ]
    top = (height - sum(size * 1.35 for _, size, _ in rows)) / 2
    for text, size, colour in rows:
        font = ImageFont.load_default(size)
        draw.text(((width - draw.textlength(text, font=font)) / 2, top), text, fill=colour, font=font)
        top += size * 1.35
    return np.asarray(image)


def _rows(draw: ImageDraw.ImageDraw, text: str, size: float, room: float, most: int) -> list[str]:
    """Break a text into rows that fit; what does not fit into `most` rows ends in an ellipsis."""
    font = ImageFont.load_default(size)

    def fits(row: str) -> bool:
        return draw.textlength(row, font=font) <= room

    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if fits(longer) or not rows[-1]:
            rows[-1] = longer
        else:
            rows.append(word)
    if len(rows) > most:
        rows = [*rows[: most - 1], f"{rows[most - 1]} …"]
    return [_shorten(row, fits) for row in rows]


def _shorten(row: str, fits: Callable[[str], bool]) -> str:
    while len(row) > 2 and not fits(row):
        row = row[:-2].rstrip() + "…"
    return row


def card_frames(title: str, lines: Sequence[str], width: int, height: int, frames: int) -> Iterator[Frame]:
    """The frames of a card, which comes out of black and goes into it."""
    card = draw_card(title, lines, width, height)
    ramp = frames // 6
    return chain(
        fade_in(repeat(card, ramp), "black", ramp),
        repeat(card, frames - 2 * ramp),
        fade_out(repeat(card, ramp), "black", ramp),
    )
