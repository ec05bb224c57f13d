"""Some of a film's shots, and several takes of them."""

from __future__ import annotations

import pytest
from conftest import make_settings
from helpers import shot, shots

from farm.errors import BadInput
from farm.plan.plan import make_plan
from farm.plan.rules import take_seed
from farm.script.choice import Choice, choose
from farm.script.model import Fade, ShotList

FILM = shots(
    shot("1", scene="1"),
    shot("1-2", scene="1"),
    shot("2A", scene="2A", enter=Fade(frames=16, colour=None)),
    shot("3", scene="3"),
    shot("3-2", scene="3"),
)


def ids(choice: Choice, film: ShotList = FILM) -> list[str]:
    return [item.name for item in choose(film, choice).shots]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("3", ["3"]),
        ("3,1", ["1", "3"]),
        ("1-2", ["1-2"]),
        ("1-2-3", ["1-2", "2A", "3"]),
        ("2a-3-2", ["2A", "3", "3-2"]),
        (" 1 , 3-2", ["1", "3-2"]),
    ],
)
def test_shots_are_chosen_by_id_and_range(words: str, found: list[str]) -> None:
    assert ids(Choice(shots=words)) == found


def test_scenes_and_takes() -> None:
    assert ids(Choice(scenes="3")) == ["3", "3-2"]
    assert ids(Choice(scenes="1-2A", shots="1-2")) == ["1-2"]
    assert ids(Choice(shots="3", takes=3)) == ["3", "3_take2", "3_take3"]
    assert Choice().whole
    assert not Choice(takes=2).whole


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(shots="9"), "there is no shot '9'"),
        (Choice(shots="3-1"), "3-1 runs backwards"),
        (Choice(scenes="x"), "there is no scene 'x'"),
        (Choice(shots=""), "there is no shot ''"),
        (Choice(shots="1", scenes="3"), "no shot is both"),
        (Choice(takes=0), "give 1 to 100"),
    ],
)
def test_what_is_not_there_is_said(choice: Choice, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        choose(FILM, choice)


def test_a_dissolve_needs_the_shot_it_comes_out_of() -> None:
    assert choose(FILM, Choice(shots="2A")).shots[0].enter is None
    assert choose(FILM, Choice(shots="1-2,2A")).shots[1].enter is not None


def test_a_first_take_is_the_film_s_own_and_the_others_differ() -> None:
    whole = {task.key for task in make_plan("f", FILM, make_settings()).tasks if task.kind == "denoise"}
    plan = make_plan("f", choose(FILM, Choice(shots="3", takes=3)), make_settings())
    keys = [task.key for task in plan.tasks if task.kind == "denoise"]
    per_take = len(keys) // 3
    assert set(keys[:per_take]) <= whole
    assert not set(keys[per_take:]) & whole
    assert len(set(keys)) == len(keys)
    assert take_seed(7, 1) == 7
    assert 0 <= take_seed(7, 2) < 2**63


def test_a_choice_has_a_name_of_its_own() -> None:
    assert Choice(shots="3,5-7").slug == "shots-3-5-7"
    assert Choice(scenes="2", takes=4).slug == "scene-2-takes-4"
    long = ",".join(str(number) for number in range(90))
    assert len(Choice(shots=long).slug) < 24
    assert Choice(shots=long).slug != Choice(shots=long + ",90").slug
