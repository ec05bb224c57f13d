"""The benchmarks can be run: each says what it does, and the quick ones print a figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
BENCHES = sorted(path.name for path in SCRIPTS.glob("bench_*.py"))


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *arguments],
        check=False,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(name: str, *arguments: str) -> dict:
    """What a benchmark prints with --json: one object, with a figure and what was compared."""
    result = json.loads(run(name, "--json", *arguments))
    assert isinstance(result["ratio"], int | float) and result["ratio"] > 0
    assert result["compared"]
    return result


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_says_what_it_measures(name: str) -> None:
    text = run(name, "--help")
    assert "--json" in text
    assert "ratio" in text


def test_planning_is_timed_for_each_size() -> None:
    result = figures("bench_plan.py", "--sizes", "20", "60", "--runs", "1")
    assert [row["shots"] for row in result["rows"]] == [20, 60]
    assert all(row["seconds"] > 0 and row["us_per_shot"] > 0 for row in result["rows"])
    assert all(0 < row["peak_gb"] < 4 for row in result["rows"])
    assert "met" not in result  # the bar is for a million shots


def test_stitching_is_held_against_encoding_again() -> None:
    result = figures("bench_stitch.py", "--minutes", "0.2", "--sample", "0.05", "--runs", "1")
    assert result["frames"] == result["concat_frames"] == 192
    assert result["shots"] == 3
    stitch, short, again, concat = result["rows"]
    assert [row["minutes"] for row in result["rows"]] == [0.2] * 4
    assert again["seconds"] > 0 and stitch["seconds"] > 0
    assert 0.5 < result["memory_ratio"] < 2
    assert short["peak_mb"] > 0 and concat["seconds"] > 0


def test_an_upload_is_held_against_the_sdk_alone_and_stays_small() -> None:
    result = figures("bench_store.py", "--mb", "128", "--runs", "1")
    store, sdk = result["rows"]
    assert (store["way"], sdk["way"]) == ("store", "sdk")
    assert store["seconds"] > 0 and sdk["seconds"] > 0
    assert store["grown_mb"] < 100  # of 128: it is not held in memory


def test_a_resume_is_held_against_one_without_its_snapshot() -> None:
    result = figures("bench_resume.py", "--tasks", "60", "--runs", "1")
    snapshot, without = result["rows"]
    assert (snapshot["way"], without["way"]) == ("with snapshot", "without")
    assert snapshot["seconds"] > 0 and without["seconds"] > 0
    assert snapshot["calls"] < without["calls"]
    assert result["events"] > 60 and result["snapshot_bytes"] > 0
    assert "met" not in result  # the bar is for 5,000 tasks


@pytest.mark.ray
def test_the_driver_is_held_against_a_bare_loop_of_ray_calls() -> None:
    result = figures("bench_driver.py", "--workers", "2", "--seconds", "2", "--step", "0.1")
    assert 0 < result["share_percent"] < 100 and result["bare_percent"] > 0
    assert result["calls_per_s"] > 1 and result["bare_calls_per_s"] > 1
    assert "met" not in result  # the bar is for 32 workers


def test_a_bench_refuses_what_it_cannot_measure() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench_stitch.py"), "--minutes", "0"],
        check=False,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "minutes" in done.stderr
