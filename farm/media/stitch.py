"""Stitch encoded shots into one film by copying their packets.

Only the frames under a fade or a dissolve, and those of the cards, are encoded; every shot begins a
group of pictures on each side of them, so the rest can be copied as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.video import VideoStream
from av.video.reformatter import ColorRange, Colorspace

from farm.errors import FarmError
from farm.media import subtitles
from farm.media.cards import card_frames
from farm.media.encode import Frame, encode
from farm.media.fades import dissolve, fade_in, fade_out
from farm.ports import Recipe

_MS = Fraction(1, 1000)


class _Film:
    """The film being written: packets go in one after another, each one frame long."""

    def __init__(self, path: Path, first: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        self.rate = Fraction(recipe["encoding"]["rate"])
        options = {"fflags": "+bitexact", "movflags": "+faststart"}
        self.container = av.open(str(path), "w", format="mp4", options=options)
        with av.open(str(first)) as source:
            stream = source.streams.video[0]
            self.header = bytes(stream.codec_context.extradata or b"")
            self.video = self.container.add_stream_from_template(stream, opaque=True)
        self.video.time_base = 1 / self.rate
        self.cues = list(subtitles.packets(subtitles.cues(recipe["lines"]), self.rate))
        if self.cues:
            self.text = cast(Any, self.container.add_stream("mov_text"))
            self.text.codec_context.subtitle_header = subtitles.STYLE
            self.text.codec_context.time_base = self.text.time_base = _MS
        self.container.set_chapters(_chapters(recipe, self.rate))
        self.at = 0

    def copy(self, path: Path, first: int, stop: int, count: int) -> None:
        """Copy the packets of frames [first, stop) of an encoded shot that has `count` frames.

        Raises:
            FarmError: when they cannot be: other settings, other frames than said, no keyframe first.
        """
        found = 0
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            if bytes(stream.codec_context.extradata or b"") != self.header:
                raise FarmError(f"{path.name} was encoded with other settings than the first shot")
            for packet in source.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    continue  # the demuxer's end mark
                if packet.pts * packet.time_base * self.rate != found or packet.dts != packet.pts:
                    raise FarmError(f"{path.name}: packet {found} is not where it should be")
                if found == first and not packet.is_keyframe:
                    raise FarmError(f"{path.name}: frame {first} does not begin with a keyframe")
                if first <= found < stop:
                    self._mux(packet)
                found += 1
        if found != count:
            raise FarmError(f"{path.name} holds {found} frames where the plan has {count}")

    def _mux(self, packet: av.Packet[VideoStream]) -> None:
        # Text goes in as the film reaches it, so that a player finds it beside the picture.
        while self.cues and self.cues[0][0] <= self.at / self.rate * 1000:
            self._say(*self.cues.pop(0))
        packet.stream = self.video
        packet.time_base = 1 / self.rate
        packet.pts = packet.dts = self.at
        packet.duration = 1
        self.container.mux(packet)
        self.at += 1

    def _say(self, start: int, length: int, sample: bytes) -> None:
        packet = av.Packet(sample)
        packet.stream, packet.time_base = self.text, _MS
        packet.pts = packet.dts = start
        packet.duration, packet.is_keyframe = length, True
        self.container.mux(packet)

    def encode(self, frames: Iterable[Frame], folder: Path) -> None:
        """Encode frames with the shots' settings and copy them in."""
        path = folder / "between.mp4"
        count = encode(self.recipe["encoding"], frames, path)
        self.copy(path, 0, count, count)

    def close(self) -> None:
        for cue in self.cues:
            self._say(*cue)
        self.container.close()


def _chapters(recipe: Recipe, rate: Fraction) -> list[Any]:
    return [
        {
            "id": number,
            "start": chapter["start"],
            "end": chapter["stop"],
            "time_base": 1 / rate,
            "metadata": {"title": chapter["title"]},
        }
        for number, chapter in enumerate(recipe["chapters"])
    ]


def _decode(path: Path, first: int, stop: int) -> Iterator[Frame]:
    """Decode frames [first, stop) of an encoded shot, uint8 [height, width, 3]; `first` begins a group."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        assert stream.time_base is not None and stream.average_rate is not None
        tick = 1 / stream.average_rate / stream.time_base
        source.seek(int(first * tick), stream=stream)
        for frame in source.decode(stream):
            number = round((frame.pts or 0) / tick)
            if number >= stop:
                return
            if number >= first:
                pixels = frame.to_ndarray(
                    format="rgb24",
                    src_colorspace=Colorspace.ITU709,
                    dst_colorspace=Colorspace.ITU709,
                    src_color_range=ColorRange.MPEG,
                    dst_color_range=ColorRange.JPEG,
                )
                yield cast(Frame, pixels)


def stitch(recipe: Recipe, shots: Sequence[Path], film: Path) -> int:
    """Write a film, an MP4 that plays before it is all there, and return its number of frames.

    `shots` are the encoded files of the recipe's shots. Timestamps are whole multiples of one frame;
    the film holds no clock and no name of a run, so the same packets make the same bytes.

    Raises:
        FarmError: when a shot cannot be copied: other settings, other frames than said.
    """
    writer = _Film(film, shots[0], recipe)
    encoding, items = recipe["encoding"], recipe["shots"]

    def card(found: dict[str, Any] | None) -> None:
        if found is not None:
            size = (encoding["width"], encoding["height"])
            writer.encode(card_frames(found["title"], found["lines"], *size, found["frames"]), folder)

    try:
        with tempfile.TemporaryDirectory(prefix="longtake-") as name:
            folder = Path(name)
            card(recipe["cards"]["title"])
            for index, (item, path) in enumerate(zip(items, shots, strict=True)):
                count, enter, leave = item["frames"], item["enter"], item["leave"]
                first = enter["frames"] if enter else 0
                stop = count - item["tail"]
                if enter:
                    own = _decode(path, 0, first)
                    if enter["colour"] is None:
                        before = items[index - 1]["frames"]
                        last = _decode(shots[index - 1], before - first, before)
                        writer.encode(dissolve(last, own, first), folder)
                    else:
                        writer.encode(fade_in(own, enter["colour"], first), folder)
                writer.copy(path, first, stop, count)
                if leave:
                    going = _decode(path, stop, count)
                    writer.encode(fade_out(going, leave["colour"], leave["frames"]), folder)
            card(recipe["cards"]["end"])
    finally:
        writer.close()
    return writer.at


def check_film(film: Path, frames: int, rate: Fraction) -> None:
    """Read a film's packets back: as many as planned, one frame apart, in order.

    Raises:
        FarmError: when they are not.
    """
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        found = 0
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            if packet.pts * packet.time_base * rate != found:
                raise FarmError(f"the film's frame {found} is not at its time")
            found += 1
    if found != frames:
        raise FarmError(f"the film holds {found} frames where the plan has {frames}")
