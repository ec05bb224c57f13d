"""The whole path with the model that ships: script in, film out, killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

SCRIPT = """\
title: Small
shots:
  - {prompt: "Open sea, day. A red boat sails on across the sea.", duration: 3.5s}
  - {prompt: "City, night. A yellow balloon floats up and down over the rooftops.", duration: 1.5s}
"""


def render(folder: Path, root: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "farm.cli", "render", "small.yaml", "--json", "model.steps=3"]
    return subprocess.Popen(
        [*command, f"store.root={root}", *more],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


def finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("film")
    (folder / "small.yaml").write_text(SCRIPT)
    return folder, finish(render(folder, "calm"))


def commits(root: Path) -> int:
    return sum(1 for _ in (root / ".longtake" / "commits").glob("*/*"))


def test_the_film_is_what_the_script_says(whole: tuple[Path, dict]) -> None:
    folder, result = whole
    assert result["frames"] == 80
    assert result["duration_s"] == 5.0
    assert result["rendered"] == 5  # each shot opens with a segment of one frame
    film = folder / "calm" / "small"
    assert result["uri"] == str(film / "film.mp4")
    with av.open(result["uri"]) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 80
    assert frames[0].shape == (144, 256, 3)
    # Day is brighter than night, and neither stands still.
    assert frames[20].mean() > frames[70].mean() + 20
    for first, last in ((5, 45), (60, 78)):
        assert abs(frames[first].astype(int) - frames[last].astype(int)).mean() > 1
    report = json.loads((film / "report.json").read_text())
    opening, join = report["shots"][0]["joins"]
    assert opening["frame"] == 1
    assert 1 < join["frame"] < 56
    assert join["ratio"] > 0
    assert (film / "sheet.png").stat().st_size > 5000


@pytest.mark.fault("everything is killed in mid-step, papercut at work (kill -9)", "the same film")
def test_killed_after_the_third_commit_it_goes_on_to_the_same_bytes(whole: tuple[Path, dict]) -> None:
    folder, result = whole
    process = render(folder, "killed")
    deadline = time.monotonic() + 200
    while commits(folder / "killed") < 4 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = finish(render(folder, "killed"))
    assert again["reused"] + again["rendered"] == 5
    assert again["reused"] > 0
    killed = (folder / "killed" / "small" / "film.mp4").read_bytes()
    assert killed == (folder / "calm" / "small" / "film.mp4").read_bytes()


def commits_of(root: Path, kind: str) -> int:
    found = (root / ".longtake" / "commits").glob("*/*")
    return sum(json.loads(path.read_bytes())["kind"] == kind for path in found)


@pytest.mark.fault(
    "SIGTERM or Ctrl-C in mid-step, with 30 seconds' grace",
    "exit code 130 within the grace, what was finished kept; the same command goes on to the same film",
)
@pytest.mark.parametrize(("cluster", "number"), [("inline", signal.SIGINT), ("local", signal.SIGTERM)])
def test_interrupted_it_says_how_to_go_on(
    whole: tuple[Path, dict], cluster: str, number: signal.Signals
) -> None:
    folder, result = whole
    root = f"stopped-{cluster}"
    process = render(folder, root, f"cluster={cluster}")
    while commits(folder / root) < 4:  # the texts are embedded, a segment is being made
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    if cluster == "local":  # once is enough for the rest
        kept = commits_of(folder / root, "denoise")
        assert kept > 0
        again = finish(render(folder, root))
        assert again["reused"] == kept
        film = (folder / root / "small" / "film.mp4").read_bytes()
        assert film == (folder / "calm" / "small" / "film.mp4").read_bytes()
