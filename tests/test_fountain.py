from fractions import Fraction

import pytest

from farm.errors import BadInput
from farm.script.fountain import read_fountain
from farm.script.model import Action, Member, Speech, Transition
from farm.script.read import read_script

SCRIPT = """\
Title: The Long Way Home
Author: Longtake

# Act one

= A boat leaves.

EXT. OPEN SEA - SUNSET #12#

A red boat sails on across the water. [[8s]] The camera pans.

[[a note
over lines]]

/* cut
passage */

CAPTAIN
(quietly)
We are late.

CUT TO:

.CITY STREET - NIGHT

!A BLUE CAR hops.

SALLY
Hello there, my old friend, how have you been all these long years?

BOB ^
Hello.

> centred <

~la la

===

EXT. QUIET DESERT - CONTINUOUS #13#

Nothing moves. CLOSE ON a green car. It waits.

DISSOLVE TO:
"""
RATE = Fraction(16)


ALL_OF_IT = """\
Title:
    _**BRICK & STEEL**_
    FULL *RETIRED*
Credit: Written by
Authors:
    Ann Lee
    Bo
Source: From a story
Draft date: 20/1/2012
Contact:
    12 Road

.SNIPER SCOPE - night #110.1-X#

..A gorgeous *day*. The **sun** _shines_ on BRICK_NAME and \\*stars\\*.

A note [[over
lines

and paragraphs,
8s]] is not seen.

Cut /* here

INT. NOT HERE - DAY [[99s]]

[[77s]]
*/ and joined.

**EXT. BRICK’S PATIO - DAY**

!BANG.
[[4s]]
BANG.

[[3s]]
Under a note.

@McCLANE
I got my *lower-case* C back!

JOSÉ (O.S.)
(beer raised)
To
retirement.
\x20\x20
Again.

O’BRIEN ^
(quiet) [[not said]]
To _them_. [[6s]]

>BURN TO PINK.

> a *centred* line <
>THE END<

~Willy Wonka!

===

# Act
## Sequence
= A synopsis

[[cast: BRICK = a man
in a vest]]
"""


def read(text: str, rate: Fraction = RATE):
    return read_script(text.encode(), "x.fountain", rate)


def test_a_screenplay_becomes_shots() -> None:
    made = read(SCRIPT)
    assert made.title == "The Long Way Home"
    assert [shot.id for shot in made.shots] == ["12", "12A", "13", "13-2"]
    first = made.shots[0]
    assert first.prompt == "Open sea, sunset. A red boat sails on across the water. The camera pans."
    assert first.frames == 8 * 16
    assert first.camera == "pan"
    assert (first.source.first, first.source.last) == (10, 20)
    assert made.shots[1].prompt == "City street, night. A BLUE CAR hops."


def test_a_paragraph_is_split_where_the_camera_is_set_up_anew() -> None:
    made = read(SCRIPT)
    assert made.shots[2].prompt == "Quiet desert, night. Nothing moves."
    assert made.shots[3].prompt == "Quiet desert, night. CLOSE ON a green car. It waits."


def test_speech_makes_its_shot_longer_but_never_a_fixed_one() -> None:
    made = read(SCRIPT)
    assert made.shots[0].frames == 128
    silent = read("EXT. CITY - DAY\n\nA blue car hops.\n")
    assert made.shots[1].frames > silent.shots[0].frames == 48


def test_working_matter_is_silent_and_what_is_lost_is_listed() -> None:
    made = read(SCRIPT)
    prompts = " ".join(shot.prompt for shot in made.shots)
    for word in ("Act one", "leaves", "note", "passage", "quietly", "la la", "centred"):
        assert word not in prompts
    assert [(item.text, item.source.first) for item in made.unfilmed] == [("centred", 34), ("la la", 36)]


def test_all_of_fountain_is_read() -> None:
    made = read_fountain(ALL_OF_IT, "x.fountain")
    assert made.title == "BRICK & STEEL FULL RETIRED"
    assert made.credits == ("Written by Ann Lee, Bo", "From a story", "20/1/2012")
    assert made.cast == (Member(name="BRICK", words="a man in a vest"),)
    first, second = made.scenes
    assert (first.heading, first.number, first.source.first) == ("SNIPER SCOPE - night", "110.1-X", 13)
    assert (second.heading, second.number, second.source.first) == ("EXT. BRICK’S PATIO - DAY", None, 30)
    elements = [*first.elements, *second.elements]
    seen = [(e.text, e.seconds, e.source.first, e.source.last) for e in elements if isinstance(e, Action)]
    assert seen == [
        ("..A gorgeous day. The sun shines on BRICK_NAME and *stars*.", None, 15, 15),
        ("A note is not seen.", 8, 17, 21),
        ("Cut and joined.", None, 23, 28),
        ("BANG. BANG.", 4, 32, 34),
        ("Under a note.", 6, 37, 37),
    ]
    said = [(e.character, e.text, e.source.first, e.source.last) for e in elements if isinstance(e, Speech)]
    assert said == [
        ("McCLANE", "I got my lower-case C back!", 40, 40),
        ("JOSÉ", "To retirement.", 44, 45),
        ("JOSÉ", "Again.", 47, 47),
        ("O’BRIEN", "To them.", 51, 51),
    ]
    assert [e.text for e in elements if isinstance(e, Transition)] == ["BURN TO PINK."]
    assert [(item.text, item.source.first) for item in made.unfilmed] == [
        ("a centred line", 55),
        ("THE END", 56),
        ("Willy Wonka!", 58),
    ]


def test_credits_as_title_pages_have_them() -> None:
    def credits(page: str) -> tuple[str, ...]:
        return read_fountain(f"{page}\n\nEXT. SEA\n\nA boat.\n", "x.fountain").credits

    assert credits("Title: X\nAuthor: Ann") == ("Ann",)
    assert credits("Title: X\nCredit: by\nAuthors:\n   Ann\n   & Bo") == ("by Ann & Bo",)
    assert credits("Title: X\nSource: A tale") == ("A tale",)
    assert read("Title: X\nAuthor: Ann\n\nEXT. SEA\n\nA boat.\n").credits == ("Ann",)


def test_a_duration_with_no_action_to_last_so_long_is_listed() -> None:
    made = read("EXT. SEA - DAY [[7s]]\n\nA boat.\n\nCUT TO:\n\n[[8s]]\n")
    assert made.shots[0].frames == 48
    assert [(item.text, item.source.first) for item in made.unfilmed] == [("[[7s]]", 1), ("[[8s]]", 7)]


def test_a_duration_under_speech_is_that_of_the_shot_it_falls_in() -> None:
    made = read("EXT. SEA - DAY\n\nA boat.\n\nBOB\nHello.\n\n[[8s]]\n")
    assert made.shots[0].frames == 128


def test_a_note_of_its_own_sets_the_length_of_the_action_above() -> None:
    made = read("EXT. SEA - DAY\n\nA boat.\n\n[[2.5s]]\n")
    assert made.shots[0].frames == 40


def test_a_scene_without_action_is_listed() -> None:
    made = read("EXT. SEA - DAY\n\nEXT. CITY - DAY\n\nA car hops.\n")
    assert made.unfilmed[0].why == "nothing happens in this scene"
    assert [shot.id for shot in made.shots] == ["2"]


def test_inserting_a_scene_between_locked_ones_moves_no_id() -> None:
    before = read("EXT. A - DAY #1#\n\nOne.\n\nEXT. B - DAY #2#\n\nTwo.\n")
    after = read("EXT. A - DAY #1#\n\nOne.\n\nEXT. C - DAY\n\nNew.\n\nEXT. B - DAY #2#\n\nTwo.\n")
    assert [shot.id for shot in before.shots] == ["1", "2"]
    assert [shot.id for shot in after.shots] == ["1", "1A", "2"]


def test_durations_stay_with_their_lines_and_out_of_what_is_cut() -> None:
    made = read("EXT. A - DAY\n\nOne\u2028\u2028boat. /* [[9999s]] */\n\nTwo boats. [[9s]]\n")
    assert [shot.frames for shot in made.shots][-1] == 144
    assert made.shots[0].frames == 48


def test_camera_words_that_are_no_cues() -> None:
    made = read("EXT. A - DAY\n\nA boat moves in the wind.\n\nPeter Pan flies.\n\nThe camera pans.\n")
    assert [shot.camera for shot in made.shots] == [None, None, "pan"]


def test_many_unnumbered_scenes_are_numbered_quickly() -> None:
    import time

    began = time.process_time()
    made = read("EXT. A - DAY\n\nX.\n\n" * 3000)
    assert made.shots[-1].id == "3000"
    assert time.process_time() - began < 20


def test_directing_is_deterministic() -> None:
    assert read(SCRIPT) == read(SCRIPT)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("EXT. A - DAY #1#\n\nX.\n\nEXT. B - DAY #1#\n\nY.\n", "scene number 1 is already that of line 1"),
        ("EXT. A - DAY\n\nX. [[9999s]]\n", "line 3: a shot of 9999 seconds"),
        ("EXT. A - DAY\n\nX. [[0s]]\n", "line 3: a shot of 0 seconds"),
        ("Title: nothing\n\n", "nothing in it can be filmed"),
        (
            "EXT. A - DAY #12#\n\nX.\n\nY.\n\nEXT. B - DAY #12-2#\n\nZ.\n",
            "shot id 12-2 is already that of line 5",
        ),
        ("EXT. A - DAY\n\n" + "[[" * 100 + "\n", "line 3: a line may have"),
        ("EXT. A - DAY\n\n/* X.\n\nY.\n", "line 3: a passage cut is opened with /* and never closed: add */"),
        (
            "EXT. A - DAY\n\nX. [[8s\n\nY. [[9s]]\n",
            "line 3: a note is opened with [[ and never closed: add ]]",
        ),
        ("EXT. A - DAY\n\n" + ("x" * 4000 + "/*\n*/") * 2, "line 3: a line may have 5,000"),
        ("   \n", "the file is empty"),
        ("EXT. A - DAY\n\nX\x00Y\n", "control characters"),
    ],
)
def test_bad_screenplays_get_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match="x.fountain") as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
