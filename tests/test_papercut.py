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

from captions import CAMERA, FILLER, MOTION, SETTING, SUBJECT, TIME, caption, vocabulary
from draw import draw_clip, draw_frame, subject_mask
from transformer import draw_levels, make_tokenizer
from world import CHOICES, MOTIONS, SETTINGS, Scene, draw_scene

STILL = dict(subject="boat", colour="red", setting="sea", time="day", motion="bob", camera="static", seed=5)


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
    for table in (SUBJECT, SETTING, TIME, MOTION, CAMERA):
        for phrases in table.values():
            assert all(unknown not in tokenizer(phrase).input_ids for phrase in phrases)
    assert set(FILLER).isdisjoint(vocabulary())
    rng = random.Random(1)
    assert all(len(tokenizer(caption(rng, draw_scene(rng))).input_ids) <= 48 for _ in range(200))


def test_the_vocabulary_is_whole() -> None:
    assert [len(CHOICES[name]) for name in CHOICES] == [6, 6, 4, 3, 5, 3]
    assert SUBJECT.keys() == set(CHOICES["subject"])
    assert MOTION.keys() == set(MOTIONS)
    assert SETTING.keys() == set(SETTINGS)


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
        assert np.abs(np.diff(clip, axis=0)).mean() > 0.4
    # and the subject is still on the stage
    assert subject_mask(scene, 960).max() > 0.9


def test_noise_levels_cover_the_ways_of_continuing() -> None:
    levels = draw_levels(torch.Generator().manual_seed(1), 400, 9)
    assert levels.shape == (400, 9)
    assert 0 <= levels.min() <= levels.max() <= 1
    in_step = (levels == levels[:, :1]).all(dim=1).float().mean()
    chained = ((levels[:, 0] <= 0.05) & (levels[:, -1] > 0.05)).float().mean()
    assert 0.25 < in_step < 0.5
    assert chained > 0.25
