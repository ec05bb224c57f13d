"""The loop and the family, on tiny random weights of the true classes, against diffusers' own pipeline."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_settings
from diffusers import (
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2Transformer3DModel,
)
from diffusers.pipelines.skyreels_v2 import pipeline_skyreels_v2_diffusion_forcing as upstream
from helpers import shot, shots
from tiny import TEXT_WIDTH, Z, autoencoder, text_parts, unipc

from farm.errors import Interrupted, OutOfMemory, StoreError
from farm.models import umt5_wan
from farm.models.decode import stream_frames, to_pixels
from farm.models.denoise import denoise, levels_of
from farm.models.matrix import Levels
from farm.models.memory import lean
from farm.models.noise import Address, NoiseSource, draw
from farm.models.skyreels_v2 import SkyReelsV2, network_of
from farm.models.tensors import pack, unpack
from farm.models.umt5_wan import encode_text
from farm.models.ways.chain import chain
from farm.models.ways.cut import cut
from farm.models.ways.stagger import stagger
from farm.models.weights import SHIPPED
from farm.plan.plan import make_plan

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        **text_parts(),
        "transformer": SkyReelsV2Transformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=24,
            in_channels=Z,
            out_channels=Z,
            text_dim=TEXT_WIDTH,
            freq_dim=32,
            ffn_dim=64,
            num_layers=2,
            rope_max_seq_len=32,
        ).eval(),
        "vae": autoencoder(),
        "scheduler": unipc(),
    }


@pytest.fixture(scope="module")
def pipeline(parts: dict[str, Any]) -> SkyReelsV2DiffusionForcingPipeline:
    pipe = SkyReelsV2DiffusionForcingPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def record(monkeypatch: pytest.MonkeyPatch, call: Any) -> tuple[torch.Tensor, list, list]:
    """Run the stock pipeline and keep what it drew: (latents, initial noises, condition noises)."""
    first, later = [], []
    randn_tensor, randn_like = upstream.randn_tensor, torch.randn_like

    def keep_first(*args: Any, **more: Any) -> torch.Tensor:
        first.append(randn_tensor(*args, **more))
        return first[-1].clone()

    def keep_later(*args: Any, **more: Any) -> torch.Tensor:
        later.append(randn_like(*args, **more))
        return later[-1].clone()

    monkeypatch.setattr(upstream, "randn_tensor", keep_first)
    monkeypatch.setattr(torch, "randn_like", keep_later)
    latents = call().frames
    monkeypatch.undo()
    return latents, first, later


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_one_segment_equals_the_stock_pipeline(pipeline, parts, monkeypatch, guidance: float) -> None:
    expected, (noise,), _ = record(
        monkeypatch,
        lambda: pipeline(
            "a red boat",
            negative_prompt="a boat",
            height=48,
            width=32,
            num_frames=17,
            num_inference_steps=6,
            guidance_scale=guidance,
            max_sequence_length=12,
            generator=torch.Generator().manual_seed(3),
            output_type="latent",
            fps=16,
        ),
    )
    with torch.no_grad():
        made = denoise(
            network_of(parts["transformer"], torch.float32, 16),
            parts["scheduler"],
            cut(levels_of(parts["scheduler"], 6), noise.shape[2]),
            noise,
            prompt=encode_text(parts["tokenizer"], parts["text_encoder"], "a  red boat ", 12),
            negative=encode_text(parts["tokenizer"], parts["text_encoder"], "a boat", 12),
            guidance=guidance,
            overwrites=True,
        )
    assert made.shape == expected.shape == (1, Z, 5, 6, 4)
    assert (made - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


@pytest.mark.parametrize(("level", "lag"), [(0, 0), (20, 0), (20, 1), (0, 3)])
def test_chained_segments_equal_the_stock_long_loop(
    pipeline, parts, monkeypatch, level: int, lag: int
) -> None:
    """`chain` is its synchronous mode, and `stagger` its asynchronous one."""
    steps, given = 4, 3
    expected, noises, held = record(
        monkeypatch,
        lambda: pipeline(
            "a red boat",
            height=32,
            width=32,
            num_frames=41,
            base_num_frames=25,
            overlap_history=9,
            addnoise_condition=level,
            ar_step=lag,
            num_inference_steps=steps,
            guidance_scale=1.0,
            max_sequence_length=12,
            generator=torch.Generator().manual_seed(5),
            output_type="latent",
            fps=16,
        ),
    )
    text = encode_text(parts["tokenizer"], parts["text_encoder"], "a red boat", 12)
    more = dict(prompt=text, negative=text, guidance=1.0, overwrites=True)
    network = network_of(parts["transformer"], torch.float32, 16)
    levels = levels_of(parts["scheduler"], steps)
    with torch.no_grad():
        opening = stagger(levels, 7, 0, level, lag) if lag else cut(levels, 7)
        made = denoise(network, parts["scheduler"], opening, noises[0], **more)
        for noise in noises[1:]:
            columns = noise.shape[2]
            rows = (
                stagger(levels, columns, given, level, lag) if lag else chain(levels, columns, given, level)
            )
            draws, held = held[: len(rows)], held[len(rows) :]
            window = denoise(
                network,
                parts["scheduler"],
                rows,
                noise,
                given=made[:, :, -given:],
                context_noise=(lambda step, draws=draws: draws[step]) if level else None,
                **more,
            )
            made = torch.cat([made, window[:, :, given:]], dim=2)
    assert len(noises) > 1 and not held
    assert made.shape == expected.shape
    # Without noise on the condition the stock loop tells the network 0 for it, and so do we.
    assert (made - expected).abs().max() < TOLERANCE


def test_given_columns_are_never_changed_and_may_not_be_updated(parts) -> None:
    levels = levels_of(parts["scheduler"], 3)
    noise = torch.randn(1, Z, 5, 4, 4)
    given = torch.randn(1, Z, 2, 4, 4)
    calls = []

    def network(latents, timesteps, text):
        calls.append((latents[:, :, :2].clone(), timesteps[0].tolist()))
        return torch.zeros_like(latents)

    more = dict(prompt=noise, negative=noise, guidance=1.0, given=given)
    made = denoise(network, parts["scheduler"], chain(levels, 5, 2, 0), noise, **more)
    assert torch.equal(made[:, :, :2], given)
    assert all(torch.equal(window, given) for window, _ in calls)
    assert [timesteps[:2] for _, timesteps in calls] == [[0.0, 0.0]] * 3
    with pytest.raises(ValueError, match="must update just the columns"):
        denoise(network, parts["scheduler"], cut(levels, 5), noise, **more)


@pytest.mark.parametrize(("above", "asked"), [(0, 8), (700, 7), (800, 6), (999, 5)])
def test_below_a_level_there_is_no_guidance(parts, above: int, asked: int) -> None:
    scheduler = type(parts["scheduler"]).from_config(parts["scheduler"].config, flow_shift=3.0)
    levels = levels_of(scheduler, 4)  # at about 1000, 900, 750 and 500
    prompt, negative = torch.ones(1, 1, 1), torch.zeros(1, 1, 1)
    texts = []

    def network(latents, timesteps, text):
        texts.append(text is prompt)
        return torch.zeros_like(latents)

    noise = torch.randn(1, Z, 3, 4, 4)
    more = dict(prompt=prompt, negative=negative, guidance=3.0, guide_above=above)
    denoise(network, scheduler, cut(levels, 3), noise, **more)
    guided = sum(sigma * 1000 > above for sigma in levels.sigmas)
    assert texts.count(True) == 4 and texts.count(False) == guided == asked - 4


def test_a_network_that_answers_nonsense_is_caught(parts) -> None:
    noise = torch.randn(1, Z, 2, 4, 4)
    levels = levels_of(parts["scheduler"], 3)
    more = dict(prompt=noise, negative=noise, guidance=1.0)
    with pytest.raises(FloatingPointError, match="step 1 is not finite"):
        denoise(lambda x, t, e: x * float("nan"), parts["scheduler"], cut(levels, 2), noise, **more)


def test_out_of_memory_lets_go_of_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SkyReelsV2(SHIPPED, "cpu")
    recipe = {"text": "a red boat", "tokens": 6, "dtype": "float32", "threads": 1}
    whole = model.embed(recipe)
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB. GPU 0 has 1 GiB")):

        def fail(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(umt5_wan, "encode_text", fail)
        with pytest.raises(OutOfMemory, match=r"out of memory on cpu \(.*\): take a smaller model\.width"):
            model.embed(recipe)
        assert model._parts == {}
        monkeypatch.setattr(umt5_wan, "encode_text", encode_text)
        assert model.embed(recipe) == whole
    with pytest.raises(OutOfMemory, match="can't allocate memory"), lean({}, torch.device("cpu")):
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="another"), lean({}, torch.device("cpu")):
        raise RuntimeError("another")


def test_stopping_takes_effect_within_a_step(parts) -> None:
    noise, calls = torch.randn(1, Z, 2, 4, 4), []

    def network(latents, timesteps, text):
        calls.append(1)
        return latents

    with pytest.raises(Interrupted):
        denoise(
            network,
            parts["scheduler"],
            cut(levels_of(parts["scheduler"], 9), 2),
            noise,
            prompt=noise,
            negative=noise,
            guidance=1.0,
            stopped=lambda: len(calls) >= 2,
        )
    assert len(calls) == 2


def test_the_matrix_rows() -> None:
    levels = Levels([1.0, 0.5], [1000, 499])
    assert cut(levels, 2)[1].sigma == (0.5, 0.5)
    row = chain(levels, 3, 1, 20)[1]
    assert row.sigma == (0.02, 0.5, 0.5)
    assert row.timestep == (20.0, 499.0, 499.0)
    assert row.update == (False, True, True)


@torch.no_grad()
def test_streamed_decoding_equals_one_pass_and_is_lazy(parts) -> None:
    vae = parts["vae"]
    latents = torch.randn(1, Z, 6, 4, 4)
    mean = torch.tensor(vae.config.latents_mean).view(1, Z, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, Z, 1, 1, 1)
    whole = vae.decode(latents * std + mean).sample
    pulled = []

    def pieces():
        for first, last in ((0, 1), (1, 4), (4, 6)):
            pulled.append(first)
            yield latents[:, :, first:last]

    stream = stream_frames(vae, pieces())
    frames = [next(stream)]
    assert pulled == [0]
    frames += list(stream)
    assert [part.shape[2] for part in frames] == [1, 4, 4, 4, 4, 4]
    assert (torch.cat(frames, dim=2) - whole).abs().max() < TOLERANCE
    pixels = list(to_pixels(frames[1]))
    assert len(pixels) == 4
    assert pixels[0].shape == (32, 32, 3)
    assert pixels[0].dtype == np.uint8


def test_noise_is_addressed() -> None:
    shape = (2, 3, 4)
    source = NoiseSource(seed=7, shot="12A", scene_seed=7, scene="12", scene_share=0.3)
    whole = source.initial(0, 9, shape)
    assert np.array_equal(source.initial(3, 6, shape), whole[:, 3:6])
    assert not np.array_equal(whole[:, 0], whole[:, 1])
    assert not np.array_equal(source.context(0, 1, shape), whole[:, :1])
    big = NoiseSource(seed=7, shot="1", scene_seed=7, scene="1", scene_share=0.3).initial(0, 4, (8, 40, 40))
    assert abs(big.std() - 1) < 0.05
    # Nothing in it stands still from one latent frame to the next.
    assert abs(float(np.corrcoef(big[:, 0].ravel(), big[:, 1].ravel())[0, 1])) < 0.05
    other = NoiseSource(seed=7, shot="2", scene_seed=7, scene="1", scene_share=0.3).initial(0, 4, (8, 40, 40))
    assert abs(float(np.corrcoef(big.ravel(), other.ravel())[0, 1]) - 0.3) < 0.1


def test_the_noise_stream_is_fixed() -> None:
    """A golden hash: other noise would make every film another one."""
    noise = draw(Address(seed=1, owner="shot 1", frame=0, purpose="initial"), (4, 3, 2))
    assert (
        hashlib.sha256(noise.tobytes()).hexdigest()
        == "13f1f234a467d0dd9ba02ed17300e831ed8c8b755327053a13dc7e9b1cf1152d"
    )


def test_tensors_travel_as_safetensors_alone() -> None:
    tensor = torch.randn(2, 3)
    assert torch.equal(unpack(pack(tensor)), tensor)
    assert pack(tensor) == pack(tensor.clone())
    for data in (b"", b"not a tensor", b"\x80\x04N."):
        with pytest.raises(StoreError, match="no tensor"):
            unpack(data)


def test_the_family_runs_a_plans_recipes_the_same_way_twice(parts, tmp_path: Path) -> None:
    import json

    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
    settings = make_settings()
    plan = make_plan("film", shots(shot("1", 40)), settings)
    recipes = {task.id: json.loads(task.recipe) for task in plan.tasks}
    for recipe in recipes.values():  # the tiny autoencoder has another stride and size
        recipe.update(width=32, height=32, spatial_stride=8)

    def film() -> tuple[list[bytes], list[np.ndarray]]:
        family = SkyReelsV2(tmp_path, "cpu")
        texts = [family.embed(recipes[task.id]) for task in plan.tasks if task.kind == "embed"]
        made: list[bytes] = []
        for segment in plan.shots[0].segments:
            made.append(
                family.denoise(
                    recipes[segment.task],
                    prompt=texts[0],
                    negative=texts[1],
                    context=made[-1:],
                    stopped=lambda: False,
                )
            )
        return made, list(family.decode(recipes["finish/1"], made))

    (latents, frames), (again, frames_again) = film(), film()
    assert latents == again
    assert all(np.array_equal(a, b) for a, b in zip(frames, frames_again, strict=True))
    owned = [unpack(data).shape[2] for data in latents]
    assert owned == [len(segment.window.owned) for segment in plan.shots[0].segments]
    assert len(frames) == 1 + 4 * (sum(owned) - 1) >= 40
