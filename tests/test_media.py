from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from farm.errors import FarmError
from farm.media.encode import encode_shot
from farm.media.sheet import draw_sheet
from farm.media.stitch import check_film, stitch
from farm.media.studio import Studio

RATE = Fraction(24000, 1001)


def picture(number: int) -> np.ndarray:
    """A smooth picture in which a bright block moves."""
    rows, columns = np.mgrid[0:48, 0:64]
    image = np.stack([rows * 4, columns * 3, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    left = (number * 2) % 48
    image[16:32, left : left + 16] = (230, 60, 40)
    return image


def recipe(frames: int, **more: object) -> dict:
    return {
        "frames": frames,
        "rate": f"{RATE.numerator}/{RATE.denominator}",
        "width": 64,
        "height": 48,
        "codec": "h264",
        "crf": 12,
        "preset": "veryfast",
        "encoder_threads": 1,
        **more,
    }


def encode(folder: Path, name: str, frames: int, first: int = 0, **more: object) -> Path:
    path = folder / f"{name}.mp4"
    encode_shot(recipe(frames, **more), (picture(first + number) for number in range(frames)), path)
    return path


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.pts is not None]


def test_a_shot_is_h264_with_exact_times_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "shot.mp4"
    facts = encode_shot(recipe(60), (picture(number) for number in range(60)), path)
    assert facts["frames"] == 60
    assert len(facts["differences"]) == 59
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == RATE
        assert stream.codec_context.colorspace == stream.codec_context.color_primaries == 1
        assert stream.codec_context.color_range == 1
        frames = list(container.decode(video=0))
    assert [frame.pts * frame.time_base * RATE for frame in frames] == list(range(60))
    assert frames[0].key_frame
    shown = frames[30].to_ndarray(format="rgb24").astype(float)
    assert np.abs(shown[4:12, 4:60] - picture(30)[4:12, 4:60]).mean() < 4


def test_the_same_frames_are_the_same_bytes(tmp_path: Path) -> None:
    assert encode(tmp_path, "a", 30).read_bytes() == encode(tmp_path, "b", 30).read_bytes()


def test_too_few_frames_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FarmError, match="made 5 frames where the shot has 6"):
        encode_shot(recipe(6), (picture(number) for number in range(5)), tmp_path / "x.mp4")


def test_stitching_copies_packets(tmp_path: Path) -> None:
    shots = [encode(tmp_path, "a", 50), encode(tmp_path, "b", 1, 7), encode(tmp_path, "c", 33, 90)]
    film = tmp_path / "film.mp4"
    stitch(shots, [50, 1, 33], RATE, film)
    check_film(film, 84, RATE)
    assert packets(film) == [packet for path in shots for packet in packets(path)]
    with av.open(str(film)) as container:
        assert container.streams.video[0].average_rate == RATE
        assert len(list(container.decode(video=0))) == 84
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    again = tmp_path / "again.mp4"
    stitch(shots, [50, 1, 33], RATE, again)
    assert again.read_bytes() == data


def test_what_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    a, b = encode(tmp_path, "a", 10), encode(tmp_path, "b", 10, crf=30, preset="ultrafast")
    with pytest.raises(FarmError, match="other settings"):
        stitch([a, b], [10, 10], RATE, tmp_path / "film.mp4")
    with pytest.raises(FarmError, match="holds 10 frames where the plan has 11"):
        stitch([a], [11], RATE, tmp_path / "film.mp4")
    with pytest.raises(FarmError, match="where the plan has 12"):
        check_film(a, 12, RATE)


def test_the_sheet_shows_every_shot(tmp_path: Path) -> None:
    shots = [encode(tmp_path, "a", 20), encode(tmp_path, "b", 2, 7)]
    film, sheet = tmp_path / "film.mp4", tmp_path / "sheet.png"
    named = {
        "rate": str(RATE),
        "shots": [
            {"id": "1", "frames": 20, "label": "A block moves. " * 20},
            {"id": "2", "frames": 2, "label": "Short."},
        ],
    }
    assert Studio().stitch(named, shots, film, sheet) == {"frames": 22}
    with Image.open(sheet) as image:
        size = image.size
    assert size == (4 * 264 + 8, 2 * (192 + 22 + 8) + 8)
    draw_sheet(film, [("1", "x", 0, 1)], tmp_path / "one.png")
