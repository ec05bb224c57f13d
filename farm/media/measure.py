"""Measure a shot while its frames pass: what changes from each to the next, how it drifts, what moves.

Every frame is made small first, so that a large film costs little more than a small one. What these
figures mean at a join is for farm/seams.py to say, which knows where the joins are.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from farm.series import pack
from farm.timebase import source_frame

Frame = NDArray[np.uint8]
Plane = NDArray[np.float32]
Spectrum = NDArray[Any]  # complex64, which the types of numpy do not know

WIDTH = 160  # of the small picture
STRIDES = (4, 8)  # how many frames the families there are make of a latent frame
NOISE = 4.0  # levels of 255: what changes less within half a second is noise, and no motion
STANDS_OUT = 6.0  # times the spread of a correlation: its peak is a displacement
BINS = 16  # of a histogram, for each of L, a and b

# IEC 61966-2-1: sRGB to linear light, then to XYZ over the white of D65; the middle row is luminance.
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=np.float32
)
_XYZ /= _XYZ.sum(axis=1, keepdims=True)
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709, as films are encoded


class Measurer:
    """Takes a shot's frames one after another.

    `frames` is how many there will be, at `rate` frames a second; the decoder made `source_rate`. The first
    and the last second of the shot are held against each other, or its halves where it is shorter than two.
    """

    def __init__(self, frames: int, rate: Fraction, source_rate: Fraction) -> None:
        second, half = max(1, round(rate)), max(1, round(rate / 2))
        self._frames, self._rate, self._source_rate = frames, rate, source_rate
        self._end = max(1, min(second, frames // 2))
        self._first, self._last = _End(), _End()
        self._looks: deque[tuple[int, _Look]] = deque(maxlen=max(STRIDES) + 1)
        """What the newest source frames look like, the newest last."""
        self._greys: deque[Plane] = deque(maxlen=min(half, max(1, frames - 1)))
        self._coarse: NDArray[np.int16] | None = None
        self._differences: list[float] = []
        self._shifts: list[tuple[float, float]] = []
        self._ssim: dict[int, list[float]] = {stride: [] for stride in (1, *STRIDES)}
        self._colours: list[NDArray[np.float64]] = []
        self._sharpness: list[float] = []
        self._motion: list[float] = []

    def add(self, pixels: Frame) -> None:
        """Take the next frame, uint8 [height, width, 3]."""
        number = len(self._colours)
        coarse = pixels[::2, ::2].astype(np.int16)
        if self._coarse is not None:
            self._differences.append(round(float(np.abs(coarse - self._coarse).mean()), 4))
        self._coarse = coarse
        small = shrink(pixels)
        look = _Look(small.astype(np.float32) @ _LUMA)
        self._compare(source_frame(number, self._source_rate, self._rate), look)
        if len(self._greys) == self._greys.maxlen:
            self._motion.append(moved(self._greys[0], look.grey))
        self._greys.append(look.grey)
        colours = lab(small)
        self._colours.append(colours.mean(axis=(0, 1), dtype=np.float64))
        self._sharpness.append(sharpness(pixels))
        if number < self._end:
            self._first.add(colours, self._sharpness[-1])
        if number >= self._frames - self._end:
            self._last.add(colours, self._sharpness[-1])

    def _compare(self, source: int, look: _Look) -> None:
        """Hold a frame against those before it; `source` numbers it among those the decoder made."""
        if self._looks:
            before, look_before = self._looks[-1]
            self._ssim[1].append(ssim(look_before, look))
            self._shifts.append(displacement(look_before.spectrum, look.spectrum, look.grey.shape))
            if source == before:  # shown again for the rate: there is nothing new to see
                self._looks.pop()
        for stride in STRIDES:
            earlier = [found for at, found in self._looks if at <= source - stride]
            self._ssim[stride].append(ssim(earlier[-1], look) if earlier else 1.0)
        self._looks.append((source, look))

    def facts(self) -> dict[str, Any]:
        """Say what was found, as data for JSON.

        - `differences`: of each frame to the one before it, the mean of absolute differences, 0 to 255
        - `series`, packed (farm/series.py). Of each frame to the one before it: `across` and `down`, how far
          the picture as a whole has moved, in per cent of its width, and `ssim`. Of each frame: `ssim_4` and
          `ssim_8`, to the one that the decoder made so many before it; the mean `lightness`, `green_red`,
          `blue_yellow` (CIE L*, a*, b*); and the natural logarithm of its `sharpness`
        - `drift` from the first second to the last, None for a single frame: `colour`, the distance of
          the means in CIE Lab; `histogram`, the share of pixels (0 to 1) that would have to change their
          colour; `sharpness` and `saturation`, the last over the first
        - `motion`: how many levels of 255 a pixel changes in half a second beyond noise; None likewise
        """
        colours = np.array(self._colours).reshape(-1, 3)
        shifts = np.array(self._shifts).reshape(-1, 2)
        alike = {"ssim" if stride == 1 else f"ssim_{stride}": found for stride, found in self._ssim.items()}
        return {
            "differences": self._differences,
            "series": {
                "across": pack(shifts[:, 0], 0.002),
                "down": pack(shifts[:, 1], 0.002),
                **{name: pack(found, 0.00005) for name, found in alike.items()},
                "lightness": pack(colours[:, 0], 0.004),
                "green_red": pack(colours[:, 1], 0.004),
                "blue_yellow": pack(colours[:, 2], 0.004),
                "sharpness": pack(np.log(np.array(self._sharpness)), 0.001),
            },
            "drift": drift(self._first, self._last) if len(colours) > 1 else None,
            "motion": round(_trimmed(self._motion), 3) if self._motion else None,
        }


class _Look:
    """What a small grey picture [height, width] looks like, worked out once for all comparisons."""

    def __init__(self, grey: Plane) -> None:
        self.grey = grey
        self.spectrum = spectrum_of(grey)
        self.mean = _windows(grey)
        self.variance = _windows(grey * grey) - self.mean**2


class _End:
    """One end of a shot, in the mean of its frames."""

    def __init__(self) -> None:
        self.count = 0
        self.lab = np.zeros(3)
        self.histogram = np.zeros((3, BINS))
        self.chroma = self.sharpness = 0.0

    def add(self, colours: Plane, sharp: float) -> None:
        self.count += 1
        self.lab += colours.mean(axis=(0, 1), dtype=np.float64)
        self.chroma += float(np.hypot(colours[..., 1], colours[..., 2]).mean())
        self.sharpness += sharp
        # Lightness goes from 0 to 100, and what sRGB can show in a* and b* lies within 110 of grey.
        for channel, (low, high) in enumerate(((0, 100), (-110, 110), (-110, 110))):
            places = ((colours[..., channel] - low) * (BINS / (high - low))).astype(np.int64)
            counts = np.bincount(places.clip(0, BINS - 1).ravel(), minlength=BINS)
            self.histogram[channel] += counts / places.size


def drift(first: _End, last: _End) -> dict[str, float]:
    """How one end of a shot differs from the other, as `Measurer.facts` says."""
    a, b = first.count, last.count
    apart = np.abs(first.histogram / a - last.histogram / b).sum(axis=1) / 2
    return {
        "colour": round(float(np.linalg.norm(first.lab / a - last.lab / b)), 3),
        "histogram": round(float(apart.mean()), 4),
        "sharpness": round((last.sharpness / b) / (first.sharpness / a), 4),
        # A grey picture has no saturation that could change: half a unit cannot be told from none.
        "saturation": round((last.chroma / b + 0.5) / (first.chroma / a + 0.5), 4),
    }


def shrink(pixels: Frame) -> Frame:
    """Make a picture [height, width, 3] at most WIDTH pixels wide, and no less than 8 high."""
    height, width = pixels.shape[:2]
    if width <= WIDTH:
        return pixels
    size = WIDTH, max(8, round(height * WIDTH / width))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small)


def lab(pixels: Frame) -> Plane:
    """Turn sRGB uint8 [height, width, 3] into CIE L*, a*, b* (CIE 15, the white of D65)."""
    xyz = _LINEAR[pixels] @ _XYZ.T
    # The curve's straight part, below which the root would be too steep.
    root = np.where(
        xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * np.float32((29 / 6) ** 2 / 3) + np.float32(4 / 29)
    )
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def sharpness(pixels: Frame) -> float:
    """The variance of the Laplacian (Pech-Pacheco et al., 2000) of a frame [height, width, 3].

    Taken at the frame's own size, where a blur is first seen, but only at every so many pixels: about as
    many of them as the small picture has.
    """
    height, width = pixels.shape[:2]
    step = max(1, width // WIDTH)

    def luma(down: int, across: int) -> Plane:
        rows, columns = slice(1 + down, height - 1 + down, step), slice(1 + across, width - 1 + across, step)
        return pixels[rows, columns].astype(np.float32) @ _LUMA

    around = luma(-1, 0) + luma(1, 0) + luma(0, -1) + luma(0, 1)
    # One level of rounding stands for none at all: a blank picture has no logarithm.
    return float((4 * luma(0, 0) - around).var()) + 1.0


def ssim(one: _Look, other: _Look) -> float:
    """The mean structural similarity of two pictures of levels from 0 to 255 (Wang et al., 2004).

    In windows of 8x8 with equal weights, one every 4 pixels, as video encoders compute it.
    """
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    product = one.mean * other.mean
    shared = _windows(one.grey * other.grey) - product
    alike = (2 * product + c1) * (2 * shared + c2)
    alike /= (one.mean**2 + other.mean**2 + c1) * (one.variance + other.variance + c2)
    return float(alike.mean())


def _windows(plane: Plane) -> NDArray[np.float64]:
    """The means of windows of 8x8, one every 4 pixels."""
    rows, columns = plane.shape[0] // 4, plane.shape[1] // 4
    blocks = plane[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).sum(axis=(1, 3), dtype=np.float64)
    return (blocks[:-1, :-1] + blocks[1:, :-1] + blocks[:-1, 1:] + blocks[1:, 1:]) / 64


def spectrum_of(grey: Plane) -> Spectrum:
    """The spectrum of a picture [height, width], faded out at its edges: it does not go on behind them."""
    spectrum: Spectrum = np.fft.rfft2((grey - grey.mean()) * _fade(grey.shape))
    return spectrum


def _fade(shape: tuple[int, ...]) -> Plane:
    rows, columns = (np.hanning(size + 2)[1:-1].astype(np.float32) for size in shape)
    return np.outer(rows, columns)


def displacement(before: Spectrum, now: Spectrum, shape: tuple[int, ...]) -> tuple[float, float]:
    """How far a picture has moved, across and down, in per cent of its width, by phase correlation.

    Kuglin and Hines, 1975. Frequencies that hold hardly more than noise of one level count for little.
    The peak is made a Gaussian of one pixel, so that a parabola through its logarithm finds its place
    between the pixels. Where no peak stands out, as after a cut, nothing is known and (0, 0) returned.
    """
    rows, columns = shape
    cross = now * before.conj()
    noise = float((_fade(shape) ** 2).sum())
    cross /= np.abs(cross) + np.float32(noise)
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)
    cross *= np.exp(-2 * np.pi**2 * (down**2 + across**2)).astype(np.float32)
    surface: NDArray[Any] = np.fft.irfft2(cross, s=(rows, columns))
    peak = int(surface.argmax())
    row, column = divmod(peak, columns)
    top = surface[row, column]
    if top < STANDS_OUT * surface.std():
        return 0.0, 0.0

    def place(at: int, line: NDArray[Any]) -> float:
        low, high = line[at - 1], line[(at + 1) % len(line)]
        whole = at if at <= len(line) // 2 else at - len(line)
        if min(low, high) <= 0:
            return float(whole)
        low, mid, high = np.log([low, top, high])
        return float(whole + (low - high) / (2 * (low - 2 * mid + high)))

    return 100 * place(column, surface[row]) / columns, 100 * place(row, surface[:, column]) / columns


def moved(before: Plane, now: Plane) -> float:
    """How much of a picture changed beyond noise, in levels a pixel; lighter or darker as a whole is none."""
    change = now - before
    change -= np.median(change)
    return float(np.maximum(np.abs(change) - NOISE, 0).mean())


def _trimmed(values: list[float]) -> float:
    """The mean without the lowest and the highest fifth, so that one jump is no motion."""
    cut = len(values) // 5
    return float(np.mean(sorted(values)[cut : len(values) - cut]))
