"""Encode one shot as its frames come: H.264, closed groups of pictures, exact integer timestamps.

Every shot of a film is encoded with the same settings and no B-frames, so that its packets can be
copied into the film as they are: no negative timestamps, no edit lists, a keyframe first.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video import VideoStream
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from farm.errors import FarmError
from farm.ports import Recipe

_BT709 = 1  # the code of BT.709 for primaries, transfer and matrix (ITU-T H.273)
_CODECS = {"h264": "libx264"}


def encode_shot(recipe: Recipe, frames: Iterator[NDArray[np.uint8]], target: Path) -> dict[str, Any]:
    """Encode frames uint8 [height, width, 3] to an MP4 file and return figures about them.

    The figures: `frames`, and `differences`, the mean absolute difference of each frame to the one
    before it (0 to 255), from which the joins are judged.

    Raises:
        FarmError: when there are not as many frames as the recipe says.
    """
    rate = Fraction(recipe["rate"])
    differences: list[float] = []
    count = 0
    before: NDArray[np.int16] | None = None
    with av.open(str(target), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = cast(VideoStream, container.add_stream(_CODECS[recipe["codec"]], rate=rate))
        stream.width, stream.height = recipe["width"], recipe["height"]
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / rate
        context = stream.codec_context
        context.thread_count = recipe["encoder_threads"]
        context.gop_size = max(1, round(2 * rate))
        context.max_b_frames = 0
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = int(ColorRange.MPEG)
        context.options = {
            "crf": str(recipe["crf"]),
            "preset": recipe["preset"],
            "x264-params": "open-gop=0:bframes=0:scenecut=0",
            "flags": "+bitexact",
        }
        for pixels in frames:
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(stream.encode(picture))
            now = pixels[::2, ::2].astype(np.int16)
            if before is not None:
                differences.append(round(float(np.abs(now - before).mean()), 4))
            before = now
            count += 1
        container.mux(stream.encode(None))
    if count != recipe["frames"]:
        raise FarmError(f"the decoder made {count} frames where the shot has {recipe['frames']}")
    return {"frames": count, "differences": differences}
