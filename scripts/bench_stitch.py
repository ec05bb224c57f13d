"""Stitching a long film: packets copied, against decoding and encoding again, and against concat.

A few short shots are encoded once with the farm's own encoder and used over and over until the film is
as long as asked for. The film is then put together

- by `farm.media.stitch.stitch`, which copies packets and checks each one,
- by decoding and encoding again with the same settings (one encoder thread, as the farm encodes; the
  decoded pictures go straight back in, with no change of colours between). This is timed on a sample
  of the film and scaled by its number of frames,
- by `ffmpeg -f concat -c copy` where there is an ffmpeg, else by the same demuxer through PyAV.

Every run is a process of its own, so that its peak memory is its own; times leave out starting it,
but count starting ffmpeg, which nobody gets without. `ratio` is the time of encoding again over that of
stitching (bar: at least 20); `memory_ratio` is stitching's peak for the whole film over that for one
minute (bar: at most 1.2).

    python scripts/bench_stitch.py                                   # an hour of film, some minutes
    python scripts/bench_stitch.py --minutes 1 --sample 0.1 --runs 1
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

RATE = 16
WIDTH, HEIGHT = 256, 144
SECONDS = (5, 4, 6, 3, 7, 5, 4, 6, 5, 3, 8, 4)  # of the distinct shots
BAR, MEMORY_BAR = 20, 1.2


def lengths(minutes: float) -> list[int]:
    """The frames of each shot of a film; the last one is cut off where the film is long enough."""
    left, found = max(1, round(minutes * 60 * RATE)), []
    for seconds in itertools.cycle(SECONDS):
        found.append(min(left, seconds * RATE))
        left -= found[-1]
        if not left:
            return found
    raise AssertionError("a cycle does not end")


def recipe_of(minutes: float) -> dict[str, Any]:
    """The STITCH recipe that a plan of such a film has."""
    from farm import config
    from farm.plan.plan import make_plan
    from farm.plan.spec import Weights
    from farm.script.model import Shot, ShotList, Source

    source = Source(file="film.fountain", first=1, last=1)
    shots = tuple(
        Shot(id=str(index), scene=str(index // len(SECONDS)), prompt="shot", frames=frames, source=source)
        for index, frames in enumerate(lengths(minutes))
    )
    conf = config.load([f"model.width={WIDTH}", f"model.height={HEIGHT}", f"output.fps='{RATE}'"])
    settings = config.settings(conf, Weights(source="papercut", identity="sha256:0"), 1)
    plan = make_plan("film", ShotList(title=None, shots=shots), settings)
    recipe: dict[str, Any] = json.loads(plan.tasks[-1].recipe)
    return recipe


def draw(shot: int, frames: int) -> Iterator[Any]:
    """A disc over a grained slope, both moving: as much to encode as a simple film has."""
    import numpy as np

    rng = np.random.default_rng(shot)
    grain = rng.normal(0, 4, (HEIGHT, WIDTH, 3))
    colours = rng.uniform(40, 215, (3, 3))
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    for index in range(frames):
        share = (0.5 + 0.5 * np.sin(across / 60 + index / 30))[..., None]
        picture = colours[0] * share + colours[1] * (1 - share) + np.roll(grain, index, axis=1)
        x = WIDTH * (0.2 + 0.6 * index / frames)
        picture[(down - HEIGHT / 2) ** 2 + (across - x) ** 2 < (HEIGHT / 5) ** 2] = colours[2]
        yield picture.clip(0, 255).astype(np.uint8)


def prepare(folder: str, recipe: dict[str, Any], encoded: dict[tuple[int, int], str]) -> list[str]:
    """Return the file of each shot of a film; every distinct shot is encoded once, into `encoded`."""
    from farm.media.encode import encode

    files = []
    for index, item in enumerate(recipe["shots"]):
        key = (index % len(SECONDS), item["frames"])
        if key not in encoded:
            encoded[key] = str(Path(folder) / f"{key[0]}-{key[1]}.mp4")
            encode(recipe["encoding"], draw(*key), Path(encoded[key]))
        files.append(encoded[key])
    return files


def peak() -> int:
    """The peak memory of this process; not getrusage's, which counts what the parent held at the start."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def stitch_it(recipe: dict[str, Any], files: Sequence[str], target: str) -> dict[str, Any]:
    """Run the farm's own way."""
    from farm.media.stitch import stitch

    began = time.perf_counter()
    frames = stitch(recipe, [Path(file) for file in files], Path(target))
    return {"seconds": time.perf_counter() - began, "frames": frames, "peak": peak()}


def encode_again(recipe: dict[str, Any], files: Sequence[str], target: str) -> dict[str, Any]:
    """Decode every shot and encode its pictures again, with the settings it was encoded with."""
    import av

    from farm.media.encode import Encoder

    step = 1 / Fraction(recipe["encoding"]["rate"])
    began = time.perf_counter()
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(target, "w", format="mp4", options=options) as container:
        encoder = Encoder(container, recipe["encoding"])
        frames = 0
        for file in files:
            with av.open(file) as source:
                for picture in source.decode(video=0):
                    picture.pts, picture.time_base = frames, step
                    picture.pict_type = av.video.frame.PictureType.NONE
                    container.mux(encoder.stream.encode(picture))
                    frames += 1
        encoder.finish()
    return {"seconds": time.perf_counter() - began, "frames": frames, "peak": peak()}


def concat(recipe: dict[str, Any], files: Sequence[str], target: str) -> dict[str, Any]:
    """Copy packets through FFmpeg's concat demuxer: the tool where there is one, else PyAV."""
    import av

    listing = Path(target).with_suffix(".txt")
    listing.write_text("ffconcat version 1.0\n" + "".join(f"file '{file}'\n" for file in files))
    tool = shutil.which("ffmpeg")
    began = time.perf_counter()
    if tool:
        command = [tool, "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listing)]
        subprocess.run([*command, "-c", "copy", "-movflags", "+faststart", target], check=True)
    else:
        with (
            av.open(str(listing), format="concat", options={"safe": "0"}) as source,
            av.open(target, "w", format="mp4", options={"movflags": "+faststart"}) as container,
        ):
            stream = container.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    seconds = time.perf_counter() - began
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    with av.open(target) as container:
        frames = sum(packet.pts is not None for packet in container.demux(video=0))
    return {"seconds": seconds, "frames": frames, "peak": child if tool else peak()}


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def compare(minutes: float, sample: float, runs: int) -> dict[str, Any]:
    sample = min(sample, minutes)
    short = min(1.0, minutes)
    recipes = {length: recipe_of(length) for length in {minutes, sample, short}}
    found: dict[str, list[dict[str, Any]]] = {"stitch": [], "minute": [], "encode": [], "concat": []}
    with tempfile.TemporaryDirectory(prefix="longtake-bench-") as folder:
        encoded: dict[tuple[int, int], str] = {}
        files = {length: prepare(folder, recipe, encoded) for length, recipe in recipes.items()}
        target = str(Path(folder) / "film.mp4")
        ways: dict[str, tuple[Callable[..., Any], float]] = {
            "stitch": (stitch_it, minutes),
            "minute": (stitch_it, short),
            "encode": (encode_again, sample),
            "concat": (concat, minutes),
        }
        for _ in range(runs):
            for name, (way, length) in ways.items():
                answer = apart(way, recipes[length], files[length], target)
                wanted = sum(lengths(length))
                if name != "concat" and answer["frames"] != wanted:
                    raise SystemExit(f"{name} made {answer['frames']} frames where the film has {wanted}")
                found[name].append(answer)
    seconds = {name: median(item["seconds"] for item in items) for name, items in found.items()}
    peaks = {name: median(item["peak"] for item in items) / 2**20 for name, items in found.items()}
    frames = {length: sum(lengths(length)) for length in recipes}
    again = seconds["encode"] * frames[minutes] / frames[sample]
    tool = "ffmpeg -f concat -c copy" if shutil.which("ffmpeg") else "PyAV's concat demuxer, packets copied"

    def row(way: str, name: str, length: float, time_s: float) -> dict[str, Any]:
        return {
            "way": way,
            "minutes": length,
            "seconds": round(time_s, 3),
            "frames_per_s": round(frames[length] / time_s),
            "peak_mb": round(peaks[name], 1),
        }

    return {
        "ratio": round(again / seconds["stitch"], 1),
        "memory_ratio": round(peaks["stitch"] / peaks["minute"], 3),
        "over_concat": round(seconds["stitch"] / seconds["concat"], 2),
        "compared": "time to decode and encode again with the same settings "
        f"(timed on {sample:g} of {minutes:g} minutes, scaled), over farm.media.stitch",
        "bar": {"ratio": BAR, "memory_ratio": MEMORY_BAR},
        "met": again / seconds["stitch"] >= BAR and peaks["stitch"] / peaks["minute"] <= MEMORY_BAR,
        "concat": tool,
        "concat_frames": found["concat"][-1]["frames"],
        "frames": frames[minutes],
        "shots": len(lengths(minutes)),
        "runs": runs,
        "rows": [
            row("stitch", "stitch", minutes, seconds["stitch"]),
            row("stitch, short", "minute", short, seconds["minute"]),
            row("encode again", "encode", minutes, again),
            row("concat", "concat", minutes, seconds["concat"]),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--minutes", type=float, default=60, help="how long the film is")
    parser.add_argument("--sample", type=float, default=3, help="minutes of it that are encoded again")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if args.minutes <= 0 or args.sample <= 0 or args.runs < 1:
        parser.error("give minutes and a sample of more than 0, and at least one run")
    result = compare(args.minutes, args.sample, args.runs)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['shots']} shots, {result['frames']:,} frames of {WIDTH}x{HEIGHT} at {RATE} a second")
    print(f"{'way':<14} {'minutes':>8} {'seconds':>9} {'frames/s':>9} {'peak MB':>8}")
    for row in result["rows"]:
        print(
            f"{row['way']:<14} {row['minutes']:>8g} {row['seconds']:>9} {row['frames_per_s']:>9,} "
            f"{row['peak_mb']:>8}"
        )
    print(f"concat is {result['concat']}; it kept {result['concat_frames']:,} frames")
    print(f"stitch takes {result['over_concat']} of concat's time")
    print(
        f"memory_ratio {result['memory_ratio']}: stitching all of it over {min(1.0, args.minutes):g} minutes"
    )
    print(f"ratio {result['ratio']}: {result['compared']}")
    print(f"bar {'met' if result['met'] else 'missed'}: ratio at least {BAR}, memory at most {MEMORY_BAR}")


if __name__ == "__main__":
    main()
