"""Stitch encoded shots into one film by copying their packets; nothing is encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from farm.errors import FarmError


def stitch(shots: Sequence[Path], frames: Sequence[int], rate: Fraction, film: Path) -> None:
    """Copy the shots' packets into `film`, an MP4 that plays before it is all there.

    `frames` says how many frames each shot has. Timestamps are whole multiples of one frame; the
    film holds no clock and no name of a run, so the same packets make the same bytes.

    Raises:
        FarmError: when a shot cannot be copied: other settings, other frames than said.
    """
    tick = 1 / rate
    start = 0
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(film), "w", format="mp4", options=options) as target:
        output = None
        header = b""
        for path, count in zip(shots, frames, strict=True):
            with av.open(str(path)) as source:
                stream = source.streams.video[0]
                if output is None:
                    output = target.add_stream_from_template(stream)
                    output.time_base = tick
                    header = bytes(stream.codec_context.extradata or b"")
                elif bytes(stream.codec_context.extradata or b"") != header:
                    raise FarmError(f"{path.name} was encoded with other settings than the first shot")
                copied = 0
                for packet in source.demux(stream):
                    if packet.pts is None:
                        continue  # the demuxer's end mark
                    position = packet.pts * packet.time_base * rate
                    if position != copied or packet.dts != packet.pts:
                        raise FarmError(f"{path.name}: packet {copied} is not where it should be")
                    if copied == 0 and not packet.is_keyframe:
                        raise FarmError(f"{path.name} does not begin with a keyframe")
                    packet.stream = output
                    packet.time_base = tick
                    packet.pts = packet.dts = start + copied
                    packet.duration = 1
                    target.mux(packet)
                    copied += 1
            if copied != count:
                raise FarmError(f"{path.name} holds {copied} frames where the plan has {count}")
            start += count


def check_film(film: Path, frames: int, rate: Fraction) -> None:
    """Read a film's packets back: as many as planned, one frame apart, in order.

    Raises:
        FarmError: when they are not.
    """
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        found = 0
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            if packet.pts * packet.time_base * rate != found:
                raise FarmError(f"the film's frame {found} is not at its time")
            found += 1
    if found != frames:
        raise FarmError(f"the film holds {found} frames where the plan has {frames}")
