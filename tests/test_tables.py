from fractions import Fraction

import pytest

from farm.errors import BadInput
from farm.script.read import read_script

RATE = Fraction(24)
CSV = """\
Shot,Scene,Description,Duration,Camera,Seed,Continuity

12a,harbour,"A red boat,
and a ""blue"" one.",8s,push in,7,chain
,,A car hops.,,,,
"""
MARKDOWN = """\
# The *Crossing*

Words about it.

| # | prompt | frames |
|---|:------:|-------:|
| 12a | A **red** boat \\| a gull. | 48 |

| a | b |
|---|---|
| 1 | 2 |

| Prompt |
|---|
| A car hops. |
"""


def read(text: str, name: str = "x.csv"):
    return read_script(text.encode(), name, RATE)


def test_a_csv_is_a_shot_list_with_lines() -> None:
    first, second = read(CSV).shots
    assert (first.id, first.scene, first.frames, first.seed) == ("12A", "harbour", 192, 7)
    assert first.prompt == 'A red boat, and a "blue" one. The camera: push in.'
    assert (first.camera, first.continuity) == ("push in", "chain")
    assert (first.source.first, first.source.last, second.source.first) == (3, 4, 5)
    assert (second.id, second.frames, second.seed, second.camera) == ("2", 72, None, None)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_what_parts_the_cells_is_seen_from_the_header(mark: str, name: str) -> None:
    text = "prompt,seconds\nA boat.,2.5\n".replace(",", mark)
    assert read(text, name).shots[0].frames == 60


def test_tables_in_markdown_are_a_shot_list() -> None:
    made = read(MARKDOWN, "x.md")
    assert made.title == "The Crossing"
    assert [(shot.id, shot.prompt, shot.frames) for shot in made.shots] == [
        ("12A", "A red boat | a gull.", 48),
        ("2", "A car hops.", 72),
    ]
    assert [shot.source.first for shot in made.shots] == [7, 15]


def test_markdown_without_such_a_table_is_prose() -> None:
    made = read("A boat.\n\n| a |\n|---|\n| b |\n", "x.md")
    assert [shot.prompt for shot in made.shots] == ["A boat."]
    assert "a table without a column" in made.unfilmed[0].why


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("promt\nA boat.\n", "line 1: a shot list takes no column 'promt': did you mean 'prompt'?"),
        ("prompt,colour\nA boat.,red\n", "line 1: a shot list takes no column 'colour'"),
        ("seed\n7\n", "line 1: there is no column `prompt`"),
        ("prompt,description\na,b\n", "line 1: there are two columns for 'prompt'"),
        ("prompt\nA boat.,red\n", "line 2: it has a cell in no named column"),
        ("prompt,\nA boat.,red\n", "line 2: it has a cell in no named column"),
        ("prompt,seed\nA boat.,\n,7\n", "line 3: the shot has no prompt"),
        ("prompt,seed\nA boat.,many\n", "line 2: seed must be a whole number"),
        ("prompt,duration\nA boat.,8\n", "line 2: '8' is no duration"),
        ("prompt,duration\nA boat.,9999s\n", "line 2: a shot of 9999 seconds"),
        ("prompt,frames,duration\nA boat.,8,8s\n", "line 2: give duration or frames, not both"),
        ("prompt,continuity\nA boat.,glue\n", "line 2: there is no continuity 'glue'"),
        ("id,prompt\n1,a\n1,b\n", "line 3: shot id 1 is already that of line 2"),
        ('prompt\n"A boat.\n', "line 2: not valid CSV"),
        ('prompt\n"A" boat.\n', "line 2: not valid CSV"),
        ("prompt\n", "line 1: there is no shot under this header"),
    ],
)
def test_bad_tables_name_line_and_column(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match="x.csv") as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_tables_in_markdown_name_their_line() -> None:
    with pytest.raises(BadInput, match="x.md, line 3: there is no continuity 'glue'"):
        read("| prompt | continuity |\n|---|---|\n| a | glue |\n", "x.md")
