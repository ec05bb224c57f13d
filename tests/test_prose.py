from fractions import Fraction

import pytest

from farm.errors import BadInput
from farm.script.model import Action, Member, Speech
from farm.script.prose import read_prose, say
from farm.script.quotes import part_speech
from farm.script.read import check_kind, read_script
from farm.script.whereabouts import find_place, find_time

RATE = Fraction(16)
STORY = """\
# The Long *Way* Home

By [Ann Lee](http://localhost)

A red boat lies in the small `harbour` at night. [[8s]]

"We are late," said Mira, turning to the sail. "Come!"

[[cast: Mira = a girl
in a red coat]]

## Chapter 2: the Forest

She **walks**. <!-- unseen -->

***

Dawn breaks over
the city.

```
code
```
"""


def read(text: str, name: str = "x.txt", kind: str | None = None):
    return read_script(text.encode(), name, RATE, kind)


def test_a_story_becomes_scenes() -> None:
    made = read_prose(STORY, "x.md", markdown=True)
    assert (made.title, made.credits) == ("The Long Way Home", ("By Ann Lee",))
    assert made.cast == (Member(name="Mira", words="a girl in a red coat"),)
    assert [(scene.heading, scene.source.first) for scene in made.scenes] == [
        ("EXT. HARBOUR - NIGHT", 5),
        ("EXT. FOREST - NIGHT", 14),
        ("EXT. CITY - DAWN", 18),
    ]
    elements = [element for scene in made.scenes for element in scene.elements]
    seen = [(e.text, e.seconds, e.source.first, e.source.last) for e in elements if isinstance(e, Action)]
    assert seen == [
        ("A red boat lies in the small harbour at night.", 8, 5, 5),
        ("Mira, turning to the sail.", None, 7, 7),
        ("She walks.", None, 14, 14),
        ("Dawn breaks over the city.", None, 18, 19),
    ]
    said = [(e.character, e.text, e.source.first) for e in elements if isinstance(e, Speech)]
    assert said == [("Mira", "We are late.", 7), ("Mira", "Come!", 7)]
    assert [(item.text, item.why) for item in made.unfilmed] == [("code", "code is not filmed")]


def test_it_becomes_shots() -> None:
    made = read(STORY, "x.md")
    assert [shot.id for shot in made.shots] == ["1", "1-2", "2", "3"]
    assert made.shots[0].prompt == "Harbour, night. A red boat lies in the small harbour at night."
    assert made.shots[0].frames == 128
    assert read(STORY, "x.md") == made


@pytest.mark.parametrize(
    ("text", "told", "said"),
    [
        ('"We are late," said Mira.', "", [("Mira", "We are late.")]),
        ('Mira said, "We are late," and ran.', "Mira ran.", [("Mira", "We are late.")]),
        ('Mira laughed and said, "Come on."', "Mira laughed.", [("Mira", "Come on.")]),
        (
            "“Run!” cried the old captain, pulling at the sail. “Now!”",
            "The old captain, pulling at the sail.",
            [("old captain", "Run!"), ("old captain", "Now!")],
        ),
        ("'We're late,' said Mira as she ran.", "Mira as she ran.", [("Mira", "We're late.")]),
        ('Then Bob whispered to Mira: "Yes." He left.', "He left.", [("Bob", "Yes.")]),
        ('"We are late." Bob said, "Yes."', "", [("", "We are late."), ("Bob", "Yes.")]),
        ('"What?" he asked quietly. Rain fell.', "Rain fell.", [("", "What?")]),
        ('"I know," Dr. Who said to the captain. It ended.', "It ended.", [("Dr. Who", "I know.")]),
        ('"Only wind," said his daughter Mira.', "", [("Mira", "Only wind.")]),
        ('"Wind," said Mira. She ran. "Go!"', "She ran.", [("Mira", "Wind."), ("Mira", "Go!")]),
        ('"Hello there', "", [("", "Hello there")]),
        ('The "Bluebird" sails.', "The Bluebird sails.", []),
        ("It's Ann's boat, isn't it.", "It's Ann's boat, isn't it.", []),
        ("“”", "", []),
    ],
)
def test_what_is_said_is_parted_from_what_is_told(text: str, told: str, said: list) -> None:
    assert part_speech(text) == (told, said)


@pytest.mark.parametrize(
    ("text", "place", "time"),
    [
        ("They wait at the old stone bridge.", ("EXT", "BRIDGE"), None),
        ("Late that evening she runs into the kitchen.", ("INT", "KITCHEN"), "EVENING"),
        ("He stands outside the house.", ("EXT", "HOUSE"), None),
        ("She came in from the kitchen.", None, None),
        ("The sun rose.", None, "DAWN"),
        ("The sun was setting by the sea.", ("EXT", "SEA"), "SUNSET"),
        ("It is still night.", None, "NIGHT"),
        ("She thinks of the night before and of houses.", None, None),
    ],
)
def test_where_and_when(text: str, place: tuple | None, time: str | None) -> None:
    assert (find_place(text), find_time(text)) == (place, time)


def test_place_and_time_are_carried_on_and_scenes_break() -> None:
    made = read_prose(
        "At night a cat crosses the yard.\n\nIt waits in the garden.\n\nIt sits.\n\n* * *\n\nIt sleeps.\n",
        "x.txt",
        markdown=False,
    )
    assert [scene.heading for scene in made.scenes] == ["NIGHT", "EXT. GARDEN - NIGHT", "EXT. GARDEN - NIGHT"]
    assert [len(scene.elements) for scene in made.scenes] == [1, 2, 1]


def test_plain_text_has_titles_and_chapters_and_no_code() -> None:
    text = (
        "The Long Way Home\nby Ann\n".replace("\n", "\n\n")
        + "Chapter One\n\n    A boat.\nIt sails.\n---\n- More\n\nIII\n\nEnd."
    )
    made = read_prose(text, "x.txt", markdown=False)
    assert (made.title, made.credits) == ("The Long Way Home", ("by Ann",))
    assert [[element.text for element in scene.elements] for scene in made.scenes] == [
        ["A boat. It sails."],
        ["More."],
        ["End."],
    ]


def test_a_heading_of_a_screenplay_is_taken_as_it_is() -> None:
    made = read("## INT. CABIN - DAWN\n\nIt burns.\n", "x.md")
    assert made.shots[0].prompt == "Inside cabin, dawn. It burns."


def test_front_matter_names_the_film() -> None:
    made = read_prose('---\ntitle: "The Sea"\nauthor: Ann\n---\n# Sea\n\nA boat.\n', "x.md", markdown=True)
    assert (made.title, made.credits, made.scenes[0].source.first) == ("The Sea", ("Ann",), 7)


def test_marks_are_stripped() -> None:
    assert say("A **b** _c_ [d](e) `f` <i>g</i> ![h](i) &amp; \\*\nj") == "A b c d f g & * j"
    assert say("a_b <sighs> \\ *c*", markdown=False) == "a_b <sighs> \\ c"


def test_a_text_with_scene_headings_is_a_screenplay() -> None:
    text = "EXT. SEA - DAY\n\nA boat.\n\nBOB\nHello.\n"
    assert read(text).shots == read(text, "x.txt", "fountain").shots
    assert read(text).shots[0].prompt == "Sea, day. A boat."
    assert "Sea, day" not in read("Ext. at sea we meet\n\nA boat.\n").shots[0].prompt
    assert read(text, "x.txt", "prose").shots[0].prompt != "Sea, day. A boat."


def test_the_kind_may_be_said() -> None:
    assert read("prompt\nA boat.\n", "script", "csv").shots[0].prompt == "A boat."
    assert check_kind("x.odd", "fountain")
    with pytest.raises(BadInput, match="script.format=prosa: .*did you mean 'prose'") as caught:
        check_kind("x.txt", "prosa")
    assert "there is: csv, fdx, fountain, markdown, prose, shotlist" in str(caught.value)
    with pytest.raises(BadInput, match="x.odd: .* or say what it is with script.format="):
        check_kind("x.odd")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A boat.\n\n[[8s\n", "x.txt, line 3: a note is opened with [[ and never closed"),
        ("A boat. [[9999s]]\n", "x.txt, line 1: a shot of 9999 seconds"),
        ("A boat.\n\n" + ("x" * 4000 + "\n") * 6, "x.txt, line 3: a paragraph may have 10,000"),
        ("***\n", "nothing in it can be filmed"),
    ],
)
def test_bad_prose_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match="x.txt") as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
