"""Draw a strip of frames from a film, one from the middle of each shot: `strip.py FILM_FOLDER OUT.png`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import av
from PIL import Image

WIDTH, GAP, COLUMNS = 200, 6, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a film's folder, such as renders/the-long-way-home")
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    report = json.loads((args.folder / "report.json").read_text())
    middles = {(shot["start"] + shot["stop"]) // 2 for shot in report["shots"]}
    with av.open(str(args.folder / "film.mp4")) as film:
        frames = enumerate(film.decode(video=0))
        pictures = [frame.to_image() for number, frame in frames if number in middles]
    height = round(WIDTH * report["height"] / report["width"])
    rows = -(-len(pictures) // COLUMNS)
    size = (COLUMNS * (WIDTH + GAP) - GAP, rows * (height + GAP) - GAP)
    strip = Image.new("RGB", size, (255, 255, 255))
    for index, picture in enumerate(pictures):
        row, column = divmod(index, COLUMNS)
        strip.paste(picture.resize((WIDTH, height)), (column * (WIDTH + GAP), row * (height + GAP)))
    strip.save(args.target, optimize=True)


if __name__ == "__main__":
    main()
