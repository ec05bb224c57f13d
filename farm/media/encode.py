"""Encode frames as they come: closed groups of pictures, exact integer timestamps.

Everything in a film is encoded with the same settings and no B-frames, so that packets can be copied
into it as they are: no negative timestamps, no edit lists, a keyframe first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video import VideoStream
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from farm.errors import FarmError
from farm.media.measure import Measurer
from farm.ports import Recipe

Frame = NDArray[np.uint8]

_BT709 = 1  # the code of BT.709 for primaries, transfer and matrix (ITU-T H.273)
# x264's names for how long to take; SVT-AV1 counts them instead.
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


def _h264(recipe: Recipe) -> tuple[str, dict[str, str]]:
    params = "open-gop=0:bframes=0:scenecut=0"
    return "libx264", {"preset": recipe["preset"], "forced-idr": "1", "x264-params": params}


def _hevc(recipe: Recipe) -> tuple[str, dict[str, str]]:
    # Threads in every place x265 has them: they change its output.
    pools = f"pools={recipe['threads']}:frame-threads=1:log-level=error"
    params = f"open-gop=0:bframes=0:scenecut=0:{pools}"
    return "libx265", {"preset": recipe["preset"], "forced-idr": "1", "x265-params": params}


def _av1(recipe: Recipe) -> tuple[str, dict[str, str]]:
    os.environ.setdefault("SVT_LOG", "1")  # or it prints a page of settings for each file
    params = f"lp={recipe['threads']}:pred-struct=1:scd=0:irefresh-type=2:force-key-frames=1"
    return "libsvtav1", {"preset": str(12 - PRESETS.index(recipe["preset"])), "svtav1-params": params}


_CODECS = {"h264": _h264, "hevc": _hevc, "av1": _av1}


class Encoder:
    """A video stream being encoded into a container, by an `encoding` recipe.

    The recipe: width, height, rate, codec, crf, preset, threads.
    """

    def __init__(self, container: OutputContainer, recipe: Recipe) -> None:
        self.rate = Fraction(recipe["rate"])
        self.width, self.height = recipe["width"], recipe["height"]
        self.container = container
        name, options = _CODECS[recipe["codec"]](recipe)
        stream = cast(VideoStream, container.add_stream(name, rate=self.rate))
        stream.width, stream.height = self.width, self.height
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / self.rate
        context = stream.codec_context
        context.thread_count = recipe["threads"]
        context.gop_size = max(1, round(2 * self.rate))
        context.max_b_frames = 0
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = int(ColorRange.MPEG)
        context.options = {"crf": str(recipe["crf"]), "flags": "+bitexact", **options}
        if recipe["codec"] == "hevc":
            context.codec_tag = "hvc1"  # the name under which Apple's players know it
        self.stream = stream
        self.count = 0

    def add(self, pixels: Frame, *, key: bool = False) -> None:
        """Encode one frame uint8 [height, width, 3], scaled to the film's size; `key` begins a group."""
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            width=self.width,
            height=self.height,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
        )
        picture.pts, picture.time_base = self.count, 1 / self.rate
        picture.pict_type = PictureType.I if key else PictureType.NONE
        self.container.mux(self.stream.encode(picture))
        self.count += 1

    def finish(self) -> None:
        self.container.mux(self.stream.encode(None))


def encode(recipe: Recipe, frames: Iterable[Frame], target: Path, keys: Iterable[int] = ()) -> int:
    """Encode frames to an MP4 file and return how many; `keys` are the numbers that begin a group."""
    forced = set(keys)
    with av.open(str(target), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        encoder = Encoder(container, recipe)
        for number, pixels in enumerate(frames):
            encoder.add(pixels, key=number in forced)
        encoder.finish()
    return encoder.count


def encode_shot(recipe: Recipe, frames: Iterator[Frame], target: Path) -> dict[str, Any]:
    """Encode a shot's frames to an MP4 file and return figures about them.

    The figures: `frames`, and those of `Measurer.facts`.

    Raises:
        FarmError: when there are not as many frames as the recipe says.
    """
    rate = Fraction(recipe["encoding"]["rate"])
    # Where no rate is said that the frames were made at, it is the film's.
    measurer = Measurer(recipe["frames"], rate, Fraction(recipe.get("source_rate", rate)))

    def watched() -> Iterator[Frame]:
        for pixels in frames:
            measurer.add(pixels)
            yield pixels

    count = encode(recipe["encoding"], watched(), target, recipe["keys"])
    if count != recipe["frames"]:
        raise FarmError(f"the decoder made {count} frames where the shot has {recipe['frames']}")
    return {"frames": count, **measurer.facts()}
