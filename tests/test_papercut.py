"""The shipped model and the world it was trained on."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from farm.models.weights import SHIPPED, fetch, resolve

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "papercut"))

from captions import CAMERA, COLOUR, FILLER, MOTION, SETTING, SUBJECT, TIME, WEATHER, caption, vocabulary
from draw import draw_clip, draw_frame, subject_mask
from text import make_tokenizer
from transformer import draw_levels
from world import CHOICES, MOTIONS, NOBODY, Scene, draw_scene

TABLES = {
    "subject": SUBJECT,
    "colour": COLOUR,
    "setting": SETTING,
    "time": TIME,
    "motion": MOTION,
    "camera": CAMERA,
    "weather": WEATHER,
}
STILL = dict(
    subject="boat",
    colour="red",
    setting="sea",
    time="day",
    motion="bob",
    camera="static",
    weather="clear",
    second=NOBODY,
    second_colour="white",
    seed=5,
)


def test_the_shipped_folder_loads_with_stock_classes_and_is_small() -> None:
    from diffusers import SkyReelsV2DiffusionForcingPipeline

    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    assert size <= 24 * 2**20
    assert not [path for path in SHIPPED.rglob("*") if path.suffix in (".bin", ".pt", ".pkl", ".py")]
    pipe = SkyReelsV2DiffusionForcingPipeline.from_pretrained(SHIPPED, torch_dtype=torch.float32)
    assert pipe.vae.config.scale_factor_spatial == 16
    assert all(part.dtype == torch.float32 for part in (pipe.transformer, pipe.vae, pipe.text_encoder))


def test_the_weights_have_one_identity() -> None:
    weights = resolve("papercut", None)
    assert weights.identity == resolve(str(SHIPPED), None).identity
    assert weights.identity.startswith("sha256:")
    assert fetch(weights) == SHIPPED


def test_the_model_knows_every_word_of_its_captions() -> None:
    tokenizer = make_tokenizer()
    unknown = tokenizer.unk_token_id
    for table in TABLES.values():
        for phrases in table.values():
            assert all(unknown not in tokenizer(phrase).input_ids for phrase in phrases)
    assert set(FILLER).isdisjoint(vocabulary())
    rng = random.Random(1)
    assert all(len(tokenizer(caption(rng, draw_scene(rng))).input_ids) <= 48 for _ in range(200))


def test_the_vocabulary_is_whole() -> None:
    least = dict(subject=12, colour=8, motion=8, setting=6, time=4, camera=4, weather=3, second=13)
    assert all(len(CHOICES[name]) >= count for name, count in least.items())
    assert all(table.keys() == set(CHOICES[name]) for name, table in TABLES.items())


def test_a_frame_is_a_function_of_scene_and_number() -> None:
    scene = Scene(**STILL)
    clip = draw_clip(scene, 40, 5)
    assert clip.shape == (5, 144, 256, 3)
    assert np.array_equal(clip[3], draw_frame(scene, 43))


def test_what_is_named_can_be_seen() -> None:
    day, night = (draw_frame(Scene(**{**STILL, "time": time}), 0) for time in ("day", "night"))
    assert day.mean() > night.mean() + 40
    red, blue = (
        draw_frame(Scene(**{**STILL, "colour": colour}), 0).astype(int) for colour in ("red", "blue")
    )
    changed = np.abs(red - blue).sum(axis=-1) > 60
    assert changed.mean() > 0.01
    assert subject_mask(Scene(**STILL), 0)[changed].mean() > 0.6


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_goes_on_for_a_minute(motion: str) -> None:
    scene = Scene(**{**STILL, "motion": motion})
    for start in (0, 950):
        clip = draw_clip(scene, start, 16, step=3).astype(int)
        assert np.abs(np.diff(clip, axis=0)).mean() > (0.05 if motion == "rest" else 0.4)
    # and the subject is still on the stage
    assert subject_mask(scene, 960).max() > 0.9


def test_every_motion_begins_in_the_same_place() -> None:
    """So that the first frame follows from the caption alone, which is much easier to learn."""
    frames = [draw_frame(Scene(**{**STILL, "motion": motion}), 0) for motion in MOTIONS]
    assert all(np.array_equal(frame, frames[0]) for frame in frames)


@pytest.mark.parametrize("name", ["weather", "second", "camera"])
def test_every_choice_can_be_seen(name: str) -> None:
    frames = [draw_frame(Scene(**{**STILL, name: choice}), 24).astype(int) for choice in CHOICES[name]]
    for index, frame in enumerate(frames):
        assert all(np.abs(frame - other).mean() > 0.1 for other in frames[:index])


def test_noise_levels_cover_the_ways_of_continuing() -> None:
    before = torch.arange(400) % 4
    after = torch.where(torch.arange(400) % 5 == 0, 2, 0)
    given = torch.stack([before, after], dim=1)
    levels, counts = draw_levels(torch.Generator().manual_seed(1), given, 9)
    assert levels.shape == counts.shape == (400, 9)
    assert 0 <= levels.min() <= levels.max() <= 1
    # What is given is nearly clean and does not count; everything else does.
    assert ((~counts).sum(dim=1) == before + after).all()
    assert not counts[after == 2, -2:].any() and counts[after == 0, -1].all()
    assert levels[~counts].max() <= 0.05
    # Most windows stand in step, some of them on every level, and some at a level for each frame.
    in_step = torch.stack([(row[4:-2] == row[4]).all() for row in levels]).float().mean()
    assert 0.75 < in_step < 0.92
    assert levels[:, -1].min() < 0.1
    assert levels[:, -1].max() > 0.9


def test_the_probe_reads_prompts_and_pictures() -> None:
    """On drawn pictures, so that it says what the probe is worth, not what the model draws."""
    from farm.models.probe import SEEN
    from farm.models.skyreels_v2 import SkyReelsV2

    model, rng = SkyReelsV2(SHIPPED, "cpu"), random.Random(7)
    right = {name: 0 for name in CHOICES if name != "second_colour"}
    understood = dict(right)
    for _ in range(20):
        scene = draw_scene(rng)
        asked = {"prompt": caption(rng, scene), "look": {"tokens": 48, "at": SEEN}}
        frames = [draw_frame(scene, number) for number in SEEN]
        found = model.look({**asked, "threads": 1, "dtype": "float32"}, frames)
        for name in right:
            right[name] += found[name]["seen"] == getattr(scene, name)
            understood[name] += found[name]["asked"] == getattr(scene, name)
    assert min(understood[name] for name in ("subject", "colour", "setting", "time")) >= 18, understood
    assert min(right[name] for name in ("subject", "colour", "setting", "time")) >= 19, right
