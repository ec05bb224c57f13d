"""Takes: kept, one circled, any of them chosen again; and `farm retake` on a film that was rendered."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from helpers import FakeModel, farm, shot, shots
from hypothesis import given
from hypothesis import strategies as st

from farm import cli
from farm.errors import BadInput, StoreError
from farm.script.takes import Take, Takes, add, apply, circle, decode, encode

FILM = shots(shot("1", seed=5), shot("2"), shot("2A"))


def test_a_new_take_is_circled_and_the_old_ones_are_kept() -> None:
    takes = add(add({}, "2", Take(seed=7)), "2", Take(seed=8, prompt="a red boat"))
    assert takes["2"] == Takes(made=(Take(), Take(seed=7), Take(seed=8, prompt="a red boat")), circled=3)
    made = apply(FILM, takes, Fraction(16)).shots
    assert (made[1].seed, made[1].prompt) == (8, "a red boat")
    assert (made[0], made[2]) == (FILM.shots[0], FILM.shots[2])
    back = apply(FILM, circle(takes, "2", 1), Fraction(16))
    assert back == FILM


def test_the_same_take_again_is_circled_not_made() -> None:
    takes = add(add({}, "2", Take(seed=7)), "2", Take(seed=8))
    again = add(takes, "2", Take(seed=7))
    assert again["2"] == Takes(made=takes["2"].made, circled=2)


@pytest.mark.parametrize(
    ("number", "there"), [(0, "takes 1 to 2"), (3, "takes 1 to 2"), (-1, "takes 1 to 2")]
)
def test_only_a_take_that_was_made_can_be_circled(number: int, there: str) -> None:
    with pytest.raises(BadInput, match=there):
        circle(add({}, "2", Take(seed=7)), "2", number)
    with pytest.raises(BadInput, match="only take 1"):
        circle({}, "2", 2)


seeds = st.none() | st.integers(0, 2**63 - 1)
made = st.lists(st.builds(Take, seed=seeds, prompt=st.none() | st.text(min_size=1)), min_size=1, max_size=5)


@given(
    st.dictionaries(
        st.text(min_size=1),
        made.flatmap(lambda t: st.builds(Takes, made=st.just(tuple(t)), circled=st.integers(1, len(t)))),
    )
)
def test_takes_are_read_back_as_they_were_written(takes: dict[str, Takes]) -> None:
    assert decode(json.dumps(encode(takes)).encode(), "x") == takes


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"1": 3}', b'{"1": {"made": [], "circled": 1}}', b'{"1": {"made": [{"x": 1}]}}']
)
def test_damaged_takes_are_said_so(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"takes\.json cannot be understood"):
        decode(data, "takes.json")


def film() -> list[list[str]]:
    """The film's lines, shot by shot (the stand-in's frames are named after their latents)."""
    lines = Path("renders/small/film.mp4").read_text().splitlines()
    return [lines[start : start + 64] for start in range(0, len(lines), 64)]


def test_a_retake_renders_one_shot_and_any_take_can_be_chosen_again(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    farm(capsys, "render", "small.yaml")
    first = film()
    stand_in.denoised.clear()
    made = farm(capsys, "retake", "small", "2")
    assert (made["shot"], made["take"], made["takes"]) == ("2", 2, 2)
    assert {name for name, _ in stand_in.denoised} == {"2"}
    second = film()
    assert (second[0], second[2]) == (first[0], first[2])
    assert second[1] != first[1]
    # New words keep the picture's seed, and a number of one's own is taken as it is.
    worded = farm(capsys, "retake", "small", "2", "--prompt", "a green boat")
    seeded = farm(capsys, "retake", "small", "2", "--seed", "77")
    assert (worded["take"], seeded["take"]) == (3, 4)
    takes = json.loads(Path("renders/small/takes.json").read_text())["2"]
    assert takes["made"][2] == {"seed": takes["made"][1]["seed"], "prompt": "a green boat"}
    assert takes["made"][3] == {"seed": 77, "prompt": "a green boat"}
    (status,) = farm(capsys, "status", "small")["films"]
    assert [(shot["id"], shot.get("take")) for shot in status["shots"]] == [
        ("1", None),
        ("2", 4),
        ("3", None),
    ]
    assert cli.main(["status", "small"]) == 0
    assert "shot 2       take 4 of 4" in capsys.readouterr().out
    # Choosing among them renders nothing.
    stand_in.denoised.clear()
    assert farm(capsys, "retake", "small", "2", "--take", "2")["rendered"] == 0
    assert film() == second
    assert farm(capsys, "retake", "small", "2", "--take", "1")["rendered"] == 0
    assert film() == first
    assert stand_in.denoised == []


def test_a_render_keeps_the_takes_and_a_retake_needs_no_script(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    farm(capsys, "render", "small.yaml", "seed=3", "model.steps=4")
    farm(capsys, "retake", "small", "3")
    taken = film()
    assert farm(capsys, "render", "small.yaml", "seed=3", "model.steps=4")["rendered"] == 0
    assert film() == taken
    plan = farm(capsys, "plan", "small.yaml", "seed=3", "model.steps=4")
    assert {segment["state"] for item in plan["shots"] for segment in item["segments"]} == {"done"}
    Path("small.yaml").unlink()
    result = farm(capsys, "retake", "small", "1", "--prompt", "a pink boat")
    assert 0 < result["rendered"] < result["reused"]
    assert json.loads(Path("renders/small/report.json").read_text())["shots"][0]["prompt"] == "a pink boat"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("small", "9"), "small has no shot 9: there is: 1, 2, 3"),
        (("none", "1"), "there is no film 'none'"),
        (("../x", "1"), "is no film name"),
        (("small", "1", "--take", "4"), "shot 1 has only take 1"),
        (("small", "1", "--take", "1", "--seed", "3"), "give it alone"),
        (("small", "1", "model.steps=3"), "model.steps=3 would change every shot"),
    ],
)
def test_a_retake_that_cannot_be_is_refused_and_changes_nothing(
    stand_in: FakeModel, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    farm(capsys, "render", "small.yaml")
    before = {path: path.read_bytes() for path in Path("renders").rglob("*") if path.is_file()}
    assert cli.main(["retake", *words]) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("renders").rglob("*") if path.is_file()} == before


def test_a_damaged_order_is_said_so(stand_in: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    farm(capsys, "render", "small.yaml")
    Path("renders/small/order.json").write_text("{}")
    assert cli.main(["retake", "small", "1"]) == 1
    assert "render the film once more from its script" in capsys.readouterr().err
