"""One line of a script is edited: one shot is rendered, all others are in the film as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import FakeModel, farm

from farm import parts
from farm.clock import SystemClock
from farm.executor import InlineExecutor
from farm.job.events import Finished
from farm.ledger import Journal
from farm.media.studio import Studio
from farm.run import last_run
from farm.store.directory import DirectoryStore
from farm.worker import Worker

SETTINGS = ("cluster=inline", "quality=draft", "model.width=64", "model.height=48")
THINGS = ("red boat", "blue car", "white bird", "yellow balloon", "purple rocket")


class PaintingModel(FakeModel):
    """Paints small plain pictures that are an honest function of a shot's latents."""

    def decode(self, recipe, latents: Sequence[bytes]) -> Iterator[np.ndarray]:
        seed = hashlib.sha256(b"".join(latents)).digest()
        picture = np.empty((48, 64, 3), dtype=np.uint8)
        picture[:] = list(seed[:3])
        picture[:, :8] = list(seed[3:6])  # a bar that moves
        rate = Fraction(recipe["source_rate"]) / Fraction(recipe["encoding"]["rate"])
        for number in range(int(recipe["frames"] * rate) + 5):
            yield np.roll(picture, number, axis=1)

    def look(self, recipe, frames) -> dict:
        return {}


@pytest.fixture
def painter(stand_in: FakeModel, monkeypatch: pytest.MonkeyPatch) -> PaintingModel:
    """`farm` with the media that ships, and a model that paints where a real one would decode."""
    model = PaintingModel()

    def start(conf, weights, stopped):
        worker = Worker(store=parts.build_store(conf), model=model, media=Studio(), clock=SystemClock())
        return InlineExecutor(worker, stopped)

    monkeypatch.setattr(parts, "start_workers", start)
    return model


def screenplay() -> str:
    """Twelve scenes of five shots."""
    lines = ["Title: Sixty", ""]
    for scene in range(12):
        lines += [f"EXT. HARBOUR {scene + 1} - DAY", ""]
        for number, thing in enumerate(THINGS):
            lines += [f"A {thing} goes by, the {scene * 5 + number + 1}th of all. [[1.5s]]", ""]
    return "\n".join(lines)


def render(capsys: pytest.CaptureFixture[str], script: str) -> tuple[dict, dict, dict[str, list[bytes]]]:
    """Plan and render: the plan, what was printed, and the film's video packets shot by shot."""
    plan = farm(capsys, "plan", script, *SETTINGS)
    result = farm(capsys, "render", script, *SETTINGS)
    with av.open("renders/sixty/film.mp4") as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.pts is not None]
    assert len(packets) == plan["frames"]
    return plan, result, {item["id"]: packets[item["start"] : item["stop"]] for item in plan["shots"]}


def tasks_made() -> list[str]:
    """What the newest run did, as the journal has it; texts by their kind alone."""
    journal = last_run(Journal(DirectoryStore(Path("renders")), "sixty").read())
    made = [event.task for event in journal if isinstance(event, Finished)]
    return sorted("embed" if task.startswith("embed/") else task for task in made)


def test_one_edited_line_in_a_film_of_60_shots_renders_only_its_shot_and_copies_all_others(
    painter: PaintingModel, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path("sixty.fountain")
    script.write_text(screenplay())
    whole, everything, before = render(capsys, script.name)
    assert len(before) == 60
    assert everything["rendered"] == whole["estimate"]["segments"]
    # As long as it was; then longer, which moves all that comes behind it.
    for old, new in (
        ("A blue car goes by, the 32th of all.", "A blue car goes up, the 32th of all."),
        ("A blue car goes up, the 32th of all. [[1.5s]]", "A blue car is gone. [[2.5s]]"),
    ):
        assert script.read_text().count(old) == 1
        script.write_text(script.read_text().replace(old, new))
        painter.denoised.clear()
        plan, edited, after = render(capsys, script.name)
        todo = [
            (item["id"], segment["id"])
            for item in plan["shots"]
            for segment in item["segments"]
            if segment["state"] != "done"
        ]
        assert {shot for shot, _ in todo} == {"7-2"}
        assert {shot for shot, _ in painter.denoised} == {"7-2"}
        assert edited["rendered"] == len(painter.denoised) == len(todo)
        assert tasks_made() == sorted(
            ["embed", *(f"denoise/{name}" for _, name in todo), "finish/7-2", "stitch"]
        )
        assert edited["rendered"] <= everything["rendered"] / 30
        for figure in ("segments", "evaluations", "seconds"):
            assert 0 < plan["estimate"][figure] <= whole["estimate"][figure] / 30
        assert after.keys() == before.keys()
        assert [name for name in before if after[name] != before[name]] == ["7-2"]
        before, length = after, len(before["7-2"])
    assert len(after["7-2"]) > length
