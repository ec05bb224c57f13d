"""The cast: names, the words that follow them, and a film's style."""

from __future__ import annotations

from fractions import Fraction

from helpers import shot, shots

from farm.script.cast import collect, dress, noted_members
from farm.script.director import direct
from farm.script.fountain import read_fountain
from farm.script.model import Member, ShotList
from farm.script.shotlist import read_shot_list

SCRIPT = """
EXT. HARBOUR - DAY

MIRA, a girl in a red dress, waits. OLD TOM (60s, blue coat) passes.

MIRA
Are we late?

VOICE
Yes.

INT. CITY - NIGHT

Mira walks on beside Tom. MIRA, run now, said somebody.
"""


def cast_of(text: str) -> dict[str, str]:
    return {member.name: member.words for member in collect(read_fountain(text, "x"))}


def test_the_cast_is_who_is_introduced_and_who_speaks() -> None:
    assert cast_of(SCRIPT) == {"MIRA": "a girl in a red dress", "OLD TOM": "blue coat", "VOICE": ""}


def test_an_age_alone_says_nothing_that_can_be_seen() -> None:
    assert cast_of("EXT. SEA - DAY\n\nANNA (30) swims. ANNA (mid-40s) dives.") == {}


def test_the_words_follow_the_name_into_every_prompt() -> None:
    made = dress(direct(read_fountain(SCRIPT, "x"), Fraction(16)))
    first, second = (item.prompt for item in made.shots)
    assert first.count("a girl in a red dress") == 1
    assert "Mira (a girl in a red dress) walks on beside Tom" in second
    assert second.count("a girl in a red dress") == 1


def test_a_longer_name_is_not_read_as_a_shorter_one_or_inside_a_word() -> None:
    cast = (Member(name="Mira", words="a girl"), Member(name="Old Mira", words="a white bird"))
    listed = ShotList(title=None, shots=(shot("1", prompt="Old Mira sees Miranda and Mira."),), cast=cast)
    made = dress(listed).shots[0].prompt
    assert made == "Old Mira (a white bird) sees Miranda and Mira (a girl)."


def test_style_and_negative_prompt_come_from_the_script_or_from_the_command_line() -> None:
    listed = ShotList(title=None, shots=(shot("1", prompt="A boat."),), style="cut paper.", negative="fog")
    assert dress(listed).shots[0].prompt == "cut paper. A boat."
    over = dress(listed, style="ink", negative="snow")
    assert (over.shots[0].prompt, over.negative) == ("ink. A boat.", "snow")
    assert dress(shots(shot("1", prompt="A boat."))).shots[0].prompt == "A boat."


def test_notes_and_shot_lists_say_the_cast() -> None:
    assert noted_members("[[cast: MIRA = a girl  in red]] [[8s]]") == (
        Member(name="MIRA", words="a girl in red"),
    )
    text = "cast:\n  Mira: a girl in a red dress\nshots:\n- prompt: Mira waits.\n"
    made = dress(read_shot_list(text, "x", Fraction(16), is_json=False))
    assert made.shots[0].prompt == "Mira (a girl in a red dress) waits."
