"""Transitions in the script, and the film they are laid out in."""

from __future__ import annotations

from fractions import Fraction

import pytest
from conftest import make_settings
from helpers import shot, shots
from hypothesis import given
from hypothesis import strategies as st

from farm.plan import reel
from farm.plan.plan import make_plan
from farm.script.cues import is_bare_transition, read_transition
from farm.script.director import direct
from farm.script.durations import time_lines
from farm.script.fountain import read_fountain
from farm.script.model import Fade, Shot

RATE = Fraction(16)


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("CUT TO:", (None, None)),
        ("SMASH CUT TO:", (None, None)),
        ("MATCH CUT TO:", (None, None)),
        ("WIPE TO:", (None, None)),
        ("DISSOLVE TO:", (None, "dissolve")),
        ("CROSSFADE TO:", (None, "dissolve")),
        ("CROSS-FADE:", (None, "dissolve")),
        ("FADE IN:", (None, "black")),
        ("FADE IN FROM WHITE:", (None, "white")),
        ("FADE OUT.", ("black", None)),
        ("FADE TO BLACK.", ("black", None)),
        ("FADE TO WHITE.", ("white", None)),
        ("FADE TO:", ("black", "black")),
    ],
)
def test_transitions_are_read(text: str, ways: tuple[str | None, str | None]) -> None:
    assert read_transition(text) == ways


def test_a_line_in_capitals_may_be_a_transition() -> None:
    assert is_bare_transition("FADE TO WHITE.")
    assert not is_bare_transition("A fade to white.")
    assert not is_bare_transition("THE BOAT SINKS.")


def film(text: str) -> tuple[Shot, ...]:
    return direct(read_fountain(text, "x"), RATE).shots


def test_transitions_reach_across_scenes() -> None:
    first, second, third = film(
        "FADE IN:\n\nEXT. SEA - DAY\n\nA boat. [[4s]]\n\nDISSOLVE TO:\n\nEXT. CITY - DAY\n\nA car. [[6s]]\n\n"
        "FADE OUT.\n\nFADE IN FROM WHITE:\n\nA bird. [[1s]]\n"
    )
    assert (first.id, first.enter, first.leave) == ("1", Fade(frames=16, colour="black"), None)
    assert (second.enter, second.leave) == (Fade(frames=16, colour=None), Fade(frames=16, colour="black"))
    assert third.enter == Fade(frames=5, colour="white"), "never more than a third of the shot"


def test_a_dissolve_out_of_nothing_is_a_cut() -> None:
    assert film("DISSOLVE TO:\n\nEXT. SEA - DAY\n\nA boat.\n")[0].enter is None


def test_speech_is_timed_within_its_shot() -> None:
    (made,) = film("EXT. SEA - DAY\n\nA boat. [[9s]]\n\nMIRA\nWhere is it?\n\nTOM\nIt is over there.\n")
    one, two = made.lines
    assert (one.character, one.text, two.character) == ("MIRA", "Where is it?", "TOM")
    assert 0 <= one.start < one.stop <= two.start < two.stop <= made.frames


spoken = st.lists(st.tuples(st.just("A"), st.text("ab ", min_size=1, max_size=200)), max_size=6)


@given(spoken, st.integers(1, 600))
def test_lines_lie_in_their_shot_in_order(said: list[tuple[str, str]], frames: int) -> None:
    lines = time_lines(said, frames, RATE)
    assert len(lines) == len(said)
    assert all(0 <= line.start < line.stop <= frames for line in lines)
    assert all(a.start <= b.start for a, b in zip(lines, lines[1:], strict=False))


@st.composite
def reels(draw: st.DrawFn) -> tuple[Shot, ...]:
    """Shots whose changes of picture take no more than a third of either, as the director makes them."""
    lengths = draw(st.lists(st.integers(9, 200), min_size=1, max_size=6))
    made: list[Shot] = []
    for index, frames in enumerate(lengths):
        enter = draw(st.sampled_from([None, "black", "dissolve"] if index else [None, "white"]))
        leave = draw(st.sampled_from([None, "black"]))
        if enter == "dissolve" and made[-1].leave is not None:
            enter = None
        room = min(frames, made[-1].frames if enter == "dissolve" else frames) // 3
        made.append(
            shot(
                str(index),
                frames,
                enter=Fade(frames=room, colour=None if enter == "dissolve" else enter) if enter else None,
                leave=Fade(frames=frames // 3, colour=leave) if leave else None,
            )
        )
    return tuple(made)


@given(reels(), st.booleans())
def test_the_film_is_its_shots_less_what_they_share(made: tuple[Shot, ...], titles: bool) -> None:
    plan = make_plan("f", shots(*made), make_settings(titles=titles))
    shared = sum(item.enter.frames for item in made if item.enter and item.enter.colour is None)
    cards = 2 * 48 if titles else 0
    assert plan.frames == sum(item.frames for item in made) - shared + cards
    for item, after in zip(plan.shots, plan.shots[1:], strict=False):
        overlap = after.shot.enter.frames if after.shot.enter and after.shot.enter.colour is None else 0
        assert after.span.start == item.span.stop - overlap


@given(reels())
def test_what_is_copied_begins_with_a_key_frame(made: tuple[Shot, ...]) -> None:
    for item, after in zip(made, [*made[1:], None], strict=True):
        keys, tail = reel.key_frames(item, after), reel.tail(item, after)
        first = item.enter.frames if item.enter else 0
        assert first < item.frames - tail
        assert {0, *keys} >= {first, item.frames - tail} - {item.frames}


def test_editing_a_transition_leaves_the_latents_alone() -> None:
    def keys(*items: Shot) -> dict[str, str]:
        return {task.id: task.key for task in make_plan("f", shots(*items), make_settings()).tasks}

    before = keys(shot("1"), shot("2"), shot("3"))
    after = keys(shot("1"), shot("2", enter=Fade(frames=16, colour=None)), shot("3"))
    assert {name for name in before if before[name] != after[name]} == {"finish/1", "finish/2", "stitch"}


def test_chapters_cover_the_film() -> None:
    made = [
        (item, span)
        for item, span in zip(
            (
                shot("1", 10, scene="1", heading="EXT. SEA"),
                shot("1-2", 10, scene="1"),
                shot("2", 5, scene="2"),
            ),
            reel.spans((shot("1", 10), shot("1-2", 10), shot("2", 5)), 48),
            strict=True,
        )
    ]
    assert reel.chapters(made, 73 + 48) == [
        {"title": "EXT. SEA", "start": 0, "stop": 68},
        {"title": "Scene 2", "start": 68, "stop": 121},
    ]
