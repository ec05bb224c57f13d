"""The Wan family, on tiny random weights of the true classes, against diffusers' own pipelines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_settings
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from helpers import shot, shots
from tiny import TEXT_WIDTH, Z, autoencoder, text_parts, unipc

from farm import cli
from farm.config import load, settings
from farm.errors import BadInput
from farm.models.denoise import denoise, levels_of
from farm.models.families import FAMILIES, load_model
from farm.models.noise import NoiseSource
from farm.models.tensors import pack, unpack
from farm.models.umt5_wan import encode_text
from farm.models.wan import Wan, guided_experts, network_of
from farm.models.ways.chain import chain
from farm.models.ways.cut import cut
from farm.models.weights import resolve
from farm.plan.plan import make_plan
from farm.plan.spec import Weights
from farm.values import check

TOKENS, STEPS = 12, 6
TOLERANCE = 1e-4


def transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
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
    ).eval()


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """Of Wan 2.1, and what its text encoder makes of two texts."""
    torch.manual_seed(0)
    return {
        **text_parts(),
        "transformer": transformer(),
        "vae": autoencoder(),
        "scheduler": unipc(),
    }


@pytest.fixture(scope="module")
def second() -> WanTransformer3DModel:
    """What A14B has besides."""
    torch.manual_seed(1)
    return transformer()


@pytest.fixture(scope="module")
def finer() -> AutoencoderKLWan:
    """The autoencoder of Wan 2.2, with 16 pixels to a latent one."""
    torch.manual_seed(2)
    return autoencoder(
        decoder_base_dim=4,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def encoded(parts: dict[str, Any], text: str) -> torch.Tensor:
    with torch.no_grad():
        return encode_text(parts["tokenizer"], parts["text_encoder"], text, TOKENS)


def normal(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(1, Z, *shape, generator=torch.Generator().manual_seed(seed))


def stock(pipe: Any, noise: torch.Tensor, **more: Any) -> torch.Tensor:
    stride = pipe.vae_scale_factor_spatial
    return pipe(
        num_frames=4 * (noise.shape[2] - 1) + 1,
        height=noise.shape[3] * stride,
        width=noise.shape[4] * stride,
        num_inference_steps=STEPS,
        latents=noise,
        max_sequence_length=TOKENS,
        output_type="latent",
        **more,
    ).frames


def assert_equal(made: torch.Tensor, expected: torch.Tensor) -> None:
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize(
    ("guidance", "negative", "shape"),
    [(1.0, "", (5, 6, 4)), (5.0, "", (4, 6, 10)), (5.0, "a boat", (1, 4, 14)), (2.5, "a red", (3, 10, 6))],
)
def test_one_segment_equals_the_stock_pipeline(
    parts, per_token: bool, guidance: float, negative: str, shape: tuple[int, ...]
) -> None:
    """Wan 2.1, and TI2V-5B without a picture: all columns at one level, however the network is told."""
    noise, scheduler = normal(*shape), parts["scheduler"]
    pipe = quiet(WanPipeline(**parts, expand_timesteps=per_token))
    expected = stock(pipe, noise, prompt="a  red boat ", negative_prompt=negative, guidance_scale=guidance)
    with torch.no_grad():
        made = denoise(
            network_of(parts["transformer"], torch.float32),
            scheduler,
            cut(levels_of(scheduler, STEPS), shape[0]),
            noise,
            prompt=encoded(parts, "a red boat"),
            negative=encoded(parts, negative),
            guidance=guidance,
        )
    assert_equal(made, expected)


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_a_first_frame_is_given_as_the_stock_pipeline_gives_it(parts, finer, guidance: float) -> None:
    """TI2V-5B: every patch of a given column is told that it is clean."""
    noise, scheduler = normal(5, 4, 6), parts["scheduler"]
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))
    more = dict(image_encoder=None, image_processor=None, expand_timesteps=True)
    pipe = quiet(WanImageToVideoPipeline(**{**parts, "vae": finer}, **more))
    expected = stock(
        pipe, noise, image=picture, prompt="a red boat", negative_prompt="a boat", guidance_scale=guidance
    )
    with torch.no_grad():
        first = finer.encode(picture[:, :, None] * 2 - 1).latent_dist.mode()
        made = denoise(
            network_of(parts["transformer"], torch.float32),
            scheduler,
            chain(levels_of(scheduler, STEPS), 5, 1, 0),
            noise,
            prompt=encoded(parts, "a red boat"),
            negative=encoded(parts, "a boat"),
            guidance=guidance,
            given=(first - 0.1) / 0.7,
        )
    assert_equal(made, expected)


def test_two_networks_share_the_levels_as_in_the_stock_pipeline(parts, second) -> None:
    """A14B: the second network is asked below the boundary, and guided by its own strength."""
    noise, scheduler = normal(4, 6, 4), unipc()
    levels = levels_of(scheduler, STEPS)
    boundary = levels.timesteps[3]  # the first network is asked at this very level
    pipe = quiet(WanPipeline(**parts, transformer_2=second, boundary_ratio=boundary / 1000))
    expected = stock(
        pipe,
        noise,
        prompt="a red boat",
        negative_prompt="a boat",
        guidance_scale=4.0,
        guidance_scale_2=3.0,
    )
    asked = []

    def give(name: str, network: Any) -> Any:
        asked.append(name)
        return network

    with torch.no_grad():
        made = denoise(
            guided_experts(
                (lambda: give("first", parts["transformer"]), lambda: give("second", second)),
                torch.float32,
                boundary=boundary,
                negative=encoded(parts, "a boat"),
                guidance=(4.0, 3.0),
            ),
            scheduler,
            cut(levels, 4),
            noise,
            prompt=encoded(parts, "a red boat"),
            negative=encoded(parts, "a boat"),
            guidance=1.0,
        )
    assert_equal(made, expected)
    assert asked == ["first"] * 4 + ["second"] * 2


def test_levels_on_both_sides_of_the_boundary_are_refused(parts) -> None:
    network = guided_experts(
        (lambda: parts["transformer"], lambda: parts["transformer"]),
        torch.float32,
        boundary=875,
        negative=torch.zeros(1, TOKENS, TEXT_WIDTH),
        guidance=(4.0, 3.0),
    )
    told = torch.tensor([[20.0, 875.0, 875.0]])
    with pytest.raises(
        ValueError, match=r"from 20 to 875 of 1000 stand on both sides of the boundary at 875"
    ):
        network(normal(3, 4, 4), told, torch.zeros(1, TOKENS, TEXT_WIDTH))


def test_below_a_level_neither_network_is_guided(parts, second) -> None:
    calls: list[str] = []
    prompt, negative = torch.ones(1, TOKENS, TEXT_WIDTH), torch.zeros(1, TOKENS, TEXT_WIDTH)

    class Counted(torch.nn.Module):
        config = parts["transformer"].config

        def forward(self, hidden_states, timestep, encoder_hidden_states, return_dict):
            calls.append("prompt" if encoder_hidden_states.any() else "negative")
            return (torch.zeros_like(hidden_states),)

    network = guided_experts(
        (Counted, Counted),
        torch.float32,
        boundary=800,
        negative=negative,
        guidance=(4.0, 1.0),
        guide_above=900,
    )
    for level in (950.0, 900.0, 500.0):
        network(normal(2, 4, 4), torch.full((1, 2), level), prompt)
    assert calls == ["prompt", "negative", "prompt", "prompt"]


def save(folder: Path, parts: dict[str, Any], **more: Any) -> Path:
    for name, part in {**parts, **more}.items():
        part.save_pretrained(folder / name)
    return folder


def recipes_of(way: str, folder: Path, **sampling: Any) -> tuple[Any, dict[str, Any]]:
    """A plan of one shot of several windows, and its tasks' recipes for the tiny parts' size."""
    base = make_settings(continuity=way, window=4, overlap=1, weights=resolve(str(folder), None).identity)
    base = replace(base, sampling=replace(base.sampling, steps=STEPS, **sampling))
    plan = make_plan("film", shots(shot("1", 25, prompt="a red boat")), base)
    recipes = {task.id: json.loads(task.recipe) for task in plan.tasks}
    for recipe in recipes.values():
        recipe.update(width=32, height=48, tokens=TOKENS)
    return plan, recipes


@pytest.mark.parametrize("two", [False, True])
def test_the_family_runs_a_plans_recipes_as_the_stock_pipeline_would(
    parts, second, tmp_path: Path, two: bool
) -> None:
    folder = save(tmp_path, parts, **({"transformer_2": second} if two else {}))
    strengths = dict(guidance=4.0, guidance_2=3.0, boundary=800) if two else dict(guidance=5.0)
    plan, recipes = recipes_of("cut", folder, **strengths)
    family = load_model("wan", folder, "cpu")
    assert isinstance(family, Wan)
    pipe = quiet(
        WanPipeline(**parts, transformer_2=second if two else None, boundary_ratio=0.8 if two else None)
    )
    texts = [recipes[task.id] for task in plan.tasks if task.kind == "embed"]
    prompt, negative = (family.embed({**text, "tokens": TOKENS}) for text in texts)
    assert len(plan.shots[0].segments) > 1
    made = []
    for segment in plan.shots[0].segments:
        recipe = {**recipes[segment.task], "spatial_stride": 8}
        made.append(
            family.denoise(recipe, prompt=prompt, negative=negative, context=(), stopped=lambda: False)
        )
        span = segment.window.span
        source = NoiseSource(seed=1, shot="1", scene_seed=1, scene="1", scene_share=0.3)
        expected = stock(
            pipe,
            torch.from_numpy(source.initial(span.start, span.stop, (Z, 6, 4)))[None],
            prompt="a red boat",
            guidance_scale=recipe["guidance"],
            **({"guidance_scale_2": 3.0} if two else {}),
        )
        assert_equal(unpack(made[-1]), expected[:, :, segment.window.given :])
    frames = list(family.decode(recipes["finish/1"], made))
    assert len(frames) == 25 and frames[0].shape == (48, 32, 3)


def test_a_chained_segment_goes_on_from_the_latents_it_is_given(parts, finer, tmp_path: Path) -> None:
    folder = save(tmp_path, {**parts, "vae": finer})
    plan, recipes = recipes_of("chain", folder)
    segment = plan.shots[0].segments[1]
    recipe = {**recipes[segment.task], "width": 64, "height": 64}
    family = Wan(folder, "cpu")
    text = pack(encoded(parts, "a red boat"))

    def made(before: torch.Tensor, **more: Any) -> torch.Tensor:
        done = family.denoise(
            {**recipe, **more}, prompt=text, negative=text, context=(pack(before),), stopped=lambda: False
        )
        return unpack(done)

    before = normal(4, 4, 4)
    other = before.clone()
    other[:, :, -1] += 1
    assert torch.equal(made(before), made(before))
    assert made(before).shape[2] == len(segment.window.owned)
    assert not torch.allclose(made(before), made(other), atol=0.01)
    assert not torch.allclose(made(before), made(before, context_level=500), atol=1e-3)


def test_weights_of_another_family_or_number_are_refused(parts, second, tmp_path: Path) -> None:
    folder = save(tmp_path / "one", parts)
    with pytest.raises(
        BadInput, match="a WanTransformer3DModel, .*=skyreels_v2 cannot run: say model.family=wan"
    ):
        load_model("skyreels_v2", folder, "cpu")
    _, recipes = recipes_of("cut", folder)
    text = pack(encoded(parts, ""))
    recipe = {**next(item for name, item in recipes.items() if "denoise" in name), "spatial_stride": 8}
    more = dict(prompt=text, negative=text, context=(), stopped=lambda: False)
    with pytest.raises(BadInput, match=r"have one network: say model\.boundary=null"):
        Wan(folder, "cpu").denoise({**recipe, "boundary": 800, "guidance_2": 3.0}, **more)
    folder = save(tmp_path / "two", parts, transformer_2=second)
    with pytest.raises(BadInput, match=r"have two networks: say model\.boundary and"):
        Wan(folder, "cpu").denoise(recipe, **more)
    assert resolve(str(tmp_path / "one"), None).identity != resolve(str(folder), None).identity


@pytest.mark.parametrize(
    ("choice", "levels"),
    [
        ("wan2_1_t2v_1_3b", False),
        ("wan2_1_t2v_14b", False),
        ("wan2_2_ti2v_5b", True),
        ("wan2_2_t2v_a14b", False),
    ],
)
def test_published_models_can_be_planned(choice: str, levels: bool) -> None:
    conf = load([f"model={choice}"])
    check(conf)
    made = settings(conf, Weights(source="somewhere", identity="sha256:0", family="wan"), 1)
    assert conf.model.family in FAMILIES
    assert made.family.levels_per_frame == levels
    plan = make_plan("film", shots(shot("1", 300)), made)
    recipe = json.loads(next(task.recipe for task in plan.tasks if task.kind == "denoise"))
    assert ("boundary" in recipe) == ("guidance_2" in recipe) == (choice == "wan2_2_t2v_a14b")
    odd = replace(
        made, sampling=replace(made.sampling, width=made.sampling.width + made.family.spatial_stride)
    )
    with pytest.raises(BadInput, match=f"give a multiple of {2 * made.family.spatial_stride}"):
        make_plan("film", shots(shot("1", 300)), odd)
    chained = replace(made, continuity="chain")
    if levels:
        make_plan("film", shots(shot("1", 300)), chained)
    else:
        with pytest.raises(BadInput, match="needs a noise level per latent frame"):
            make_plan("film", shots(shot("1", 300)), chained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=wan2_1_t2v_1_3b", "model.opening=1"],
            "model.opening=1 needs a noise level",
        ),
        (["model=wan2_2_t2v_a14b", "model.levels_per_frame=true"], "goes with model.levels_per_frame=false"),
        (["model=wan2_2_t2v_a14b", "model.guidance_2=null"], "go together"),
    ],
)
def test_settings_that_no_network_could_follow_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check(load(words))


def test_a_family_is_part_of_its_films_keys() -> None:
    base = make_settings()
    other = replace(base, weights=replace(base.weights, family="wan"))
    made = [make_plan("film", shots(shot("1", 40)), each) for each in (base, other)]
    assert not {task.key for task in made[0].tasks} & {task.key for task in made[1].tasks}


def test_a_woven_shot_that_would_be_broken_off_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.yaml").write_text("shots:\n  - {prompt: a boat, duration: 20s, continuity: weave}\n")
    cost = ["model.evaluation_s_per_latent=9", "limits.task_minutes=90"]
    assert cli.main(["plan", "long.yaml", *cost]) == 2
    assert "an attempt is ended after limits.task_minutes=90: raise it" in capsys.readouterr().err
    assert cli.main(["plan", "long.yaml", *cost, "limits.task_minutes=null"]) == 0
