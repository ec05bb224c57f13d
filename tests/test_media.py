from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from farm.errors import FarmError
from farm.media import subtitles
from farm.media.cards import draw_card
from farm.media.encode import encode_shot
from farm.media.fades import dissolve, fade_in, fade_out
from farm.media.sheet import draw_sheet
from farm.media.stitch import check_film, stitch
from farm.media.studio import Studio
from farm.plan import reel
from farm.script.model import Fade, Line, Shot, ShotList, Source

RATE = Fraction(24000, 1001)
CODECS = ("h264", "hevc", "av1")


def picture(number: int) -> np.ndarray:
    """A smooth picture in which a bright block moves."""
    rows, columns = np.mgrid[0:48, 0:64]
    image = np.stack([rows * 4, columns * 3, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    left = (number * 2) % 48
    image[16:32, left : left + 16] = (230, 60, 40)
    return image


def encoding(**more: object) -> dict[str, Any]:
    settings = dict(width=64, height=48, codec="h264", crf=12, preset="veryfast", threads=1)
    return {**settings, "rate": f"{RATE.numerator}/{RATE.denominator}", **more}


def encode(
    folder: Path, name: str, frames: int, first: int = 0, keys: Sequence[int] = (), **more: object
) -> Path:
    path = folder / f"{name}.mp4"
    recipe = {"frames": frames, "encoding": encoding(**more), "keys": keys}
    encode_shot(recipe, (picture(first + number) for number in range(frames)), path)
    return path


def shot(name: str, frames: int, **more: Any) -> Shot:
    where = Source(file="x", first=1, last=1)
    return Shot(id=name, scene=more.pop("scene", name), prompt="", frames=frames, source=where, **more)


def film_recipe(*shots: Shot, titles: bool = False, **more: object) -> dict[str, Any]:
    """What the plan tells the stitcher of these shots."""
    listed = ShotList(title="A Film", shots=shots, credits=("by nobody",))
    title, end = reel.cards(listed, RATE, titles)
    placed = list(zip(shots, reel.spans(shots, title["frames"] if title else 0), strict=True))
    frames = placed[-1][1].stop + (end["frames"] if end else 0)
    following = [*shots[1:], None]
    rows = [
        {
            "id": item.name,
            "frames": item.frames,
            "start": span.start,
            "label": "A block moves. " * 20,
            "enter": reel.fade(item.enter),
            "leave": reel.fade(item.leave),
            "tail": reel.tail(item, after),
        }
        for (item, span), after in zip(placed, following, strict=True)
    ]
    return {
        "encoding": encoding(**more),
        "frames": frames,
        "shots": rows,
        "cards": {"title": title, "end": end},
        "chapters": reel.chapters(placed, frames),
        "lines": reel.lines(placed),
    }


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.pts is not None]


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_shot_has_exact_times_tags_and_the_groups_asked_for(tmp_path: Path, codec: str) -> None:
    path = encode(tmp_path, "shot", 60, keys=(7, 50), codec=codec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.pix_fmt == "yuv420p"
        assert stream.average_rate == RATE
        assert stream.codec_context.colorspace == stream.codec_context.color_primaries == 1
        assert stream.codec_context.color_range == 1
        found = [packet for packet in container.demux(stream) if packet.pts is not None]
    assert [packet.pts * packet.time_base * RATE for packet in found] == list(range(60))
    assert all(packet.pts == packet.dts for packet in found)
    keys = [number for number, packet in enumerate(found) if packet.is_keyframe]
    assert {0, 7, 50} <= set(keys)
    shown = decoded(path)[30]
    assert np.abs(shown[4:12, 4:60] - picture(30)[4:12, 4:60]).mean() < 5


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_frames_are_the_same_bytes(tmp_path: Path, codec: str) -> None:
    first, second = (encode(tmp_path, name, 30, codec=codec) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_shot_says_how_much_moves(tmp_path: Path) -> None:
    recipe = {"frames": 6, "encoding": encoding(), "keys": ()}
    facts = encode_shot(recipe, (picture(number) for number in range(6)), tmp_path / "x.mp4")
    assert facts["frames"] == 6
    assert len(facts["differences"]) == 5
    assert min(facts["differences"]) > 0


def test_a_film_may_have_another_size(tmp_path: Path) -> None:
    path = encode(tmp_path, "large", 4, width=128, height=96)
    assert decoded(path)[0].shape == (96, 128, 3)


def test_too_few_frames_are_an_error(tmp_path: Path) -> None:
    recipe = {"frames": 6, "encoding": encoding(), "keys": ()}
    with pytest.raises(FarmError, match="made 5 frames where the shot has 6"):
        encode_shot(recipe, (picture(number) for number in range(5)), tmp_path / "x.mp4")


def test_hard_cuts_copy_every_packet(tmp_path: Path) -> None:
    shots = [encode(tmp_path, "a", 50), encode(tmp_path, "b", 1, 7), encode(tmp_path, "c", 33, 90)]
    recipe = film_recipe(shot("1", 50), shot("2", 1), shot("3", 33))
    film, again = tmp_path / "film.mp4", tmp_path / "again.mp4"
    assert stitch(recipe, shots, film) == 84
    check_film(film, 84, RATE)
    assert packets(film) == [packet for path in shots for packet in packets(path)]
    with av.open(str(film)) as container:
        assert container.streams.video[0].average_rate == RATE
        assert len(list(container.decode(video=0))) == 84
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    stitch(recipe, shots, again)
    assert again.read_bytes() == data


@pytest.mark.parametrize("codec", CODECS)
def test_only_the_frames_under_a_transition_are_encoded_anew(tmp_path: Path, codec: str) -> None:
    items = [
        shot("1", 40, enter=Fade(frames=6, colour="black")),
        shot("2", 30, enter=Fade(frames=8, colour=None)),
        shot("3", 30, leave=Fade(frames=5, colour="white")),
    ]
    paths = [
        encode(tmp_path, item.id, item.frames, 100 * number, reel.key_frames(item, after), codec=codec)
        for number, (item, after) in enumerate(zip(items, [*items[1:], None], strict=True))
    ]
    film = tmp_path / "film.mp4"
    recipe = film_recipe(*items, codec=codec)
    assert stitch(recipe, paths, film) == recipe["frames"] == 40 + 30 + 30 - 8
    made, (one, two, three) = packets(film), map(packets, paths)
    assert made[6:32] == one[6:32]  # 40 less the eight that dissolve
    assert made[40:62] == two[8:30]
    assert made[62:87] == three[:25]
    shown, first, second = decoded(film), decoded(paths[0]), decoded(paths[1])
    assert shown[0].mean() < 0.3 * first[0].mean()
    assert shown[5].mean() > shown[2].mean() > shown[0].mean()
    assert shown[-1].mean() > 200
    middle = (first[35] + second[3]) / 2
    assert np.abs(shown[35] - middle).mean() < 8


def test_what_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    a, b = encode(tmp_path, "a", 10), encode(tmp_path, "b", 10, crf=30, preset="ultrafast")
    film = tmp_path / "film.mp4"
    with pytest.raises(FarmError, match="other settings"):
        stitch(film_recipe(shot("1", 10), shot("2", 10)), [a, b], film)
    with pytest.raises(FarmError, match="holds 10 frames where the plan has 11"):
        stitch(film_recipe(shot("1", 11)), [a], film)
    with pytest.raises(FarmError, match="frame 3 does not begin with a keyframe"):
        stitch(film_recipe(shot("1", 10, enter=Fade(frames=3, colour="black"))), [a], film)
    with pytest.raises(FarmError, match="where the plan has 12"):
        check_film(a, 12, RATE)


def test_cards_stand_before_and_after_the_film(tmp_path: Path) -> None:
    path, film = encode(tmp_path, "a", 20), tmp_path / "film.mp4"
    recipe = film_recipe(shot("1", 20), titles=True)
    card = recipe["cards"]["title"]["frames"]
    assert stitch(recipe, [path], film) == 20 + 2 * card == recipe["frames"]
    assert packets(film)[card : card + 20] == packets(path)
    shown = decoded(film)
    assert shown[0].mean() < 80
    assert shown[card // 2].mean() > 150
    image = draw_card("A very long title that goes on " * 9, ["and on " * 40] * 9, 256, 144)
    assert image.shape == (144, 256, 3)
    assert (image[:, :12] == image[0, 0]).all(), "the margin is free"


def test_the_film_holds_chapters_and_what_is_said(tmp_path: Path) -> None:
    items = [
        shot("1", 40, scene="1", heading="EXT. SEA - DAY"),
        shot(
            "1-2", 40, scene="1", lines=(Line(character="MIRA", text="{Where} <is> it?", start=5, stop=30),)
        ),
        shot("2", 40, scene="2"),
    ]
    paths = [encode(tmp_path, item.id, item.frames) for item in items]
    made, _ = Studio().stitch(film_recipe(*items), paths, tmp_path)
    with av.open(str(made["film"])) as container:
        chapters = [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in container.chapters()]
        stream = container.streams.subtitles[0]
        said = [bytes(p)[2:].decode() for p in container.demux(stream) if p.size > 2]
    assert [title for title, _ in chapters] == ["EXT. SEA - DAY", "Scene 2"]
    assert abs(float(chapters[1][1] - 80 / RATE)) < 0.01
    assert said == ["{Where} <is> it?"]
    assert made["srt"].read_text() == "1\n00:00:01,877 --> 00:00:02,920\n{Where} <is> it?\n"
    assert "<v MIRA>{Where} &lt;is&gt; it?" in made["vtt"].read_text()
    check_film(made["film"], 120, RATE)


said = st.tuples(st.integers(0, 500), st.integers(1, 200), st.text(max_size=8), st.text(max_size=300))


@given(st.lists(said, max_size=8))
def test_cues_are_in_order_and_never_overlap(found: list[tuple[int, int, str, str]]) -> None:
    shown = subtitles.cues([(start, start + length, who, words) for start, length, who, words in found])
    assert all(cue.start < cue.stop for cue in shown)
    assert all(a.stop <= b.start for a, b in zip(shown, shown[1:], strict=False))
    assert all(len(cue.text.split("\n")) <= 2 for cue in shown)


def test_a_long_line_becomes_several_cues() -> None:
    words = " ".join(f"word{number}" for number in range(40))
    shown = subtitles.cues([(0, 160, "A", words)])
    assert len(shown) > 2
    assert " ".join(cue.text for cue in shown).split() == words.split()
    assert (shown[0].start, shown[-1].stop) == (0, 160)


def test_fades_are_gradual() -> None:
    white = [np.full((2, 2, 3), 255, np.uint8)] * 4
    black = [np.zeros((2, 2, 3), np.uint8)] * 4
    coming = [int(frame[0, 0, 0]) for frame in fade_in(white, "black", 4)]
    assert coming == [51, 102, 153, 204]
    assert [int(frame[0, 0, 0]) for frame in fade_out(white, "black", 4)] == coming[::-1]
    assert [int(frame[0, 0, 0]) for frame in dissolve(black, white, 4)] == coming


def test_the_sheet_shows_every_shot(tmp_path: Path) -> None:
    shots = [encode(tmp_path, "a", 20), encode(tmp_path, "b", 2, 7)]
    made, facts = Studio().stitch(film_recipe(shot("1", 20), shot("2", 2)), shots, tmp_path)
    assert facts == {"frames": 22}
    assert set(made) == {"film", "sheet"}
    with Image.open(made["sheet"]) as image:
        size = image.size
    assert size == (4 * 264 + 8, 2 * (192 + 22 + 8) + 8)
    draw_sheet(made["film"], [("1", "x", 0, 1)], tmp_path / "one.png")
