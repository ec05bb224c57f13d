"""Preview first, then the final from it: what is planned, what it begins from, and how alike they are."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_settings
from helpers import FakeModel, farm, shot, shots

from farm import cli
from farm.media.alike import alike
from farm.media.encode import encode_shot
from farm.models.denoise import begin_from, denoise
from farm.models.matrix import Levels
from farm.models.ways.chain import chain
from farm.plan.estimate import estimate
from farm.plan.plan import make_plan
from farm.plan.rules import steps_below
from farm.plan.spec import Draft
from farm.plan.task import Kind

FILM = shots(shot("1", 150), shot("2", 40))


def plans(level: int = 600):
    """A film's preview in two steps, and the final from it in four."""
    preview, final = make_settings(steps=2), make_settings(steps=4)
    final = replace(final, sampling=replace(final.sampling, draft=Draft(steps=2, level=level)))
    return make_plan("film", FILM, preview), make_plan("film", FILM, final)


def test_a_promoted_film_begins_from_the_very_segments_of_its_preview() -> None:
    preview, final = plans()
    keys = {task.id: task.key for task in preview.tasks}
    drafts = [task for task in final.tasks if task.part.startswith("draft-")]
    assert len(drafts) == sum(len(item.segments) for item in preview.shots)
    assert [task.key for task in drafts] == [keys[task.id.replace("draft-", "")] for task in drafts]
    for task in final.tasks:
        if task.kind is Kind.DENOISE and task not in drafts:
            assert task.needs[-1] == f"denoise/{task.shot}/draft-{task.part}"
            assert json.loads(task.recipe)["draft_level"] == 600
    # A final that is not made from a preview is another one.
    assert make_plan("film", FILM, make_settings(steps=4)).key != final.key


def test_a_promotion_costs_the_steps_below_its_level() -> None:
    assert steps_below(None, 3.0) == 1
    assert steps_below(600, 1.0) == pytest.approx(0.6)
    assert steps_below(600, 3.0) == pytest.approx(1 / 3)
    preview, final = plans()
    done = frozenset(task.id for task in final.tasks if task.part.startswith("draft-") or not task.needs)
    whole, rest = estimate(make_plan("film", FILM, make_settings(steps=4))), estimate(final, done)
    assert rest.segments == whole.segments
    assert rest.evaluations == whole.evaluations // 4  # one step of four lies below 600
    assert estimate(final).evaluations == rest.evaluations + estimate(preview).evaluations


LEVELS = Levels([1.0, 0.9, 0.75, 0.5, 0.25], [1000, 900, 750, 500, 250])


class Euler:
    """Steps of the flow, for velocities that lead to what was predicted."""

    timesteps = torch.tensor(LEVELS.timesteps)

    def step(self, velocity, timestep, sample, return_dict):
        index = LEVELS.timesteps.index(int(timestep))
        sigmas = [*LEVELS.sigmas, 0.0]
        return (sample + (sigmas[index + 1] - sigmas[index]) * velocity,)


@pytest.mark.parametrize(("level", "skip"), [(999, 1), (900, 1), (600, 3), (500, 3), (1, 4)])
def test_a_segment_begins_from_its_preview_at_the_level(level: int, skip: int) -> None:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 2, 4, 1, 1, generator=generator)
    draft = torch.randn(1, 2, 3, 1, 1, generator=generator)
    below = LEVELS.below(level)
    sigma = below.sigmas[0]
    assert (sigma, below.timesteps) == (LEVELS.sigmas[skip], LEVELS.timesteps[skip:])
    begun = begin_from(draft, noise, sigma)
    assert torch.allclose(begun[:, :, 1:], (1 - sigma) * draft + sigma * noise[:, :, 1:])
    # A network that knows the preview is led back to it, in the steps that are left.
    calls = []

    def network(latents, timesteps, text):
        calls.append(timesteps[0, -1].item())
        full = torch.cat([noise[:, :, :1], draft], dim=2)
        return (latents - full) / (timesteps[0, -1] / 1000)

    text = torch.zeros(1, 1, 1)
    made = denoise(
        network,
        Euler(),
        chain(below, 4, 1, 20),
        begun,
        prompt=text,
        negative=text,
        guidance=1.0,
        given=noise[:, :, :1],
    )
    assert torch.allclose(made[:, :, 1:], draft, atol=1e-5)
    assert calls == LEVELS.timesteps[skip:]


def moving(shade: int, speed: int, size: int = 24):
    for number in range(16):
        frame = np.full((144, 256, 3), shade, np.uint8)
        frame[60 : 60 + size, 20 + speed * number : 20 + speed * number + size] = 230
        yield frame


def test_likeness_tells_picture_and_motion_apart(tmp_path: Path) -> None:
    encoding = dict(
        width=256, height=144, rate=Fraction(16), codec="h264", crf=16, preset="veryfast", threads=1
    )

    def encoded(name: str, frames) -> Path:
        encode_shot({"encoding": encoding, "keys": [], "frames": 16}, frames, tmp_path / name)
        return tmp_path / name

    base = encoded("base.mp4", moving(60, 8))
    same = alike(base, encoded("same.mp4", moving(60, 8)))
    softer = alike(base, encoded("softer.mp4", moving(80, 8, 20)))
    slower = alike(base, encoded("slower.mp4", moving(60, 1)))
    still = alike(encoded("still.mp4", moving(60, 0)), encoded("still2.mp4", moving(60, 0)))
    assert same == {"picture": 1.0, "motion": 1.0}
    assert softer["picture"] > 0.8
    assert softer["motion"] > 0.7
    assert slower["picture"] < 0.5
    assert slower["motion"] < 0.5
    assert still == {"picture": 1.0, "motion": None}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The stand-in's shots are text, so likeness is only recorded."""
    compared = []

    def record(first: Path, second: Path) -> dict[str, float]:
        compared.append((first.read_text(), second.read_text()))
        return {"picture": 0.9, "motion": None}

    monkeypatch.setattr("farm.media.alike.alike", record)
    return compared


def test_a_preview_is_made_final_and_compared(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
    measured: list[tuple[str, str]],
) -> None:
    preview = farm(capsys, "render", "small.yaml", "quality=previz", "seed=9")
    first = Path("renders/small/film.mp4").read_text()
    stand_in.denoised.clear()
    final = farm(capsys, "promote", "small")
    assert final["rendered"] == preview["rendered"] == len(stand_in.denoised), "previews are not made again"
    assert [row["id"] for row in final["preview"]] == ["1", "2", "3"]
    assert "\n".join(before for before, _ in measured) == first
    assert "\n".join(after for _, after in measured) == Path("renders/small/film.mp4").read_text() != first
    # What is said of the script again is said of the final film, and a retake goes through a preview too.
    assert farm(capsys, "render", "small.yaml", "quality=promoted", "seed=9")["rendered"] == 0
    stand_in.denoised.clear()
    again = farm(capsys, "retake", "small", "2")
    assert len(stand_in.denoised) == 2 * again["rendered"] > 0


@pytest.mark.parametrize(
    ("before", "message"), [((), "not a preview"), (("quality=promoted",), "promoted already")]
)
def test_only_a_preview_can_be_promoted(
    stand_in: FakeModel,
    capsys: pytest.CaptureFixture[str],
    before: tuple[str, ...],
    message: str,
) -> None:
    farm(capsys, "render", "small.yaml", *before)
    assert cli.main(["promote", "small"]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["promote", "small", "seed=4"]) == 2
    assert "keeps the film's settings" in capsys.readouterr().err
