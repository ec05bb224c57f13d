"""How planning grows: time and memory for films of more and more shots.

Every shot has five segments. `ratio` is the time a shot of the largest film takes to plan over that of
a film of 1,000 shots: 1 is linear. It compares with nothing, since nobody else plans.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from fractions import Fraction
from statistics import median

from farm.plan.plan import make_plan
from farm.plan.spec import Cost, FamilySpec, Output, Sampling, Settings, Weights
from farm.script.model import Shot, ShotList, Source


def settings() -> Settings:
    rate = Fraction(16)
    return Settings(
        family=FamilySpec(
            name="papercut",
            temporal_stride=4,
            spatial_stride=16,
            window=9,
            overlap=3,
            text_tokens=48,
            levels_per_frame=True,
            rate=rate,
        ),
        weights=Weights(source="papercut", identity="sha256:0"),
        sampling=Sampling(
            steps=20,
            guidance=4.0,
            shift=3.0,
            negative_prompt="",
            context_level=20,
            scene_noise=0.3,
            dtype="float32",
            threads=1,
        ),
        output=Output(width=256, height=144, rate=rate, codec="h264", crf=16, preset="medium", threads=1),
        cost=Cost(evaluation_s_per_latent=0.03, decode_s_per_latent=0.3, workers=2),
        seed=1,
        continuity="auto",
    )


def shots(count: int) -> ShotList:
    source = Source(file="film.fountain", first=1, last=1)
    return ShotList(
        title=None,
        shots=tuple(
            Shot(id=str(index), scene="1", prompt=f"prompt {index}", frames=128, source=source)
            for index in range(count)
        ),
    )


def seconds(count: int) -> float:
    items = shots(count)
    gc.collect()
    began = time.process_time()
    make_plan("film", items, settings())
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--most", type=int, default=100_000)
    args = parser.parse_args()
    counts = [count for count in (100, 1_000, 10_000, 100_000, 1_000_000) if count <= args.most]
    rows = []
    for count in counts:
        tries = 3 if count <= 10_000 else 1
        took = median(seconds(count) for _ in range(tries))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(
            {
                "shots": count,
                "seconds": round(took, 3),
                "us_per_shot": round(took / count * 1e6, 1),
                "peak_gb": round(peak, 2),
            }
        )
    base = next(row for row in rows if row["shots"] == min(1_000, args.most))
    ratio = round(rows[-1]["us_per_shot"] / base["us_per_shot"], 2)
    result = {"ratio": ratio, "compared": "time a shot, largest film over 1,000 shots", "rows": rows}
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'shots':>9} {'seconds':>9} {'µs a shot':>10} {'peak GB':>8}")
    for row in rows:
        print(f"{row['shots']:>9,} {row['seconds']:>9} {row['us_per_shot']:>10} {row['peak_gb']:>8}")
    print(f"ratio {ratio}: {result['compared']}")


if __name__ == "__main__":
    main()
