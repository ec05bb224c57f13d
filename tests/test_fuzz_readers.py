"""Whatever is in a file, a reader answers with shots or with one sentence, and soon."""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_fdx import SCRIPT as FDX
from test_fountain import ALL_OF_IT, SCRIPT
from test_prose import STORY
from test_shotlist import GOOD
from test_tables import CSV, MARKDOWN

from farm.errors import BadInput
from farm.script.model import MAX_SHOT_SECONDS, ShotList
from farm.script.read import KINDS, KINDS_BY_ENDING, read_script

RATE = Fraction(24000, 1001)
SAMPLES = {
    "x.fountain": [SCRIPT, ALL_OF_IT],
    "x.fdx": [FDX],
    "x.yaml": [GOOD],
    "x.csv": [CSV],
    "x.md": [MARKDOWN, STORY],
    "x.txt": [STORY, SCRIPT],
}
# What means something to one reader or another, and what is odd.
PIECES = [
    *(
        "[[",
        "]]",
        "[[8s]]",
        "[[9999s]]",
        "[[1 min]]",
        "/*",
        "*/",
        "\n",
        "\n\n",
        "  \n",
        "\t",
        "*",
        "**",
        "_",
        "#",
        "##",
    ),
    *(
        "#12#",
        ">",
        "<",
        "> a <",
        "~",
        "!",
        "@",
        ".",
        "^",
        "(",
        ")",
        "=",
        "===",
        "---",
        "***",
        "`",
        "```",
        "[a](b)",
        "\\",
    ),
    *(
        '"',
        "“",
        "”",
        "'",
        "’",
        " said Mira",
        "Mira said, ",
        "at night ",
        "in the harbour ",
        "EXT. A - DAY\n\n",
        "BOB\n",
    ),
    *(
        "|",
        "|---|",
        "prompt",
        "duration",
        ",",
        ";",
        "8s",
        "&amp;",
        "&#27;",
        "<!--",
        "-->",
        "<Text>",
        "</Text>",
        "]]>",
    ),
    *(
        '<Paragraph Type="Action">',
        "</Paragraph>",
        "<DualDialogue>",
        "<!DOCTYPE x>",
        "<![CDATA[",
        "\ufeff",
        "\x00",
    ),
    *(
        "\x85",
        "\u2028",
        "\u202e",
        "é",
        "漢字",
        "😀",
        "Title: x\n",
        "- ",
        "1. ",
        "    ",
        ": ",
        "{",
        "&a ",
        "*a ",
        "? ",
    ),
]
ENDINGS = [".csv", ".fdx", ".fountain", ".json", ".md", ".txt", ".yaml"]  # one of each kind
FAST = settings(max_examples=25, deadline=2000, suppress_health_check=list(HealthCheck))


def check(text: str, file: str, kind: str | None = None) -> None:
    try:
        made = read_script(text.encode("utf-8", "surrogatepass"), file, RATE, kind)
    except BadInput as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 400
    else:
        sane(made, text)
        if file.endswith((".fountain", ".fdx", ".txt")) and kind is None:  # shot lists know no notes
            assert not any("[[" in shot.prompt and "]]" in shot.prompt for shot in made.shots)


def sane(made: ShotList, text: str) -> None:
    lines = len(text.splitlines()) + 1
    assert made.shots
    assert len({shot.id for shot in made.shots}) == len(made.shots)
    for shot in made.shots:
        assert 0 < shot.frames <= MAX_SHOT_SECONDS * RATE + 1
        assert shot.prompt.strip()
        assert 1 <= shot.source.first <= shot.source.last <= lines
    # A character of a script is not worth more than a long shot.
    assert sum(shot.frames for shot in made.shots) <= MAX_SHOT_SECONDS * RATE * len(text)


@pytest.mark.parametrize("ending", ENDINGS)
@FAST
@given(text=st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
def test_arbitrary_text(ending: str, text: str) -> None:
    check(text, f"x{ending}")


@pytest.mark.parametrize("file", sorted(SAMPLES))
@FAST
@given(data=st.data())
def test_samples_cut_and_patched(file: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SAMPLES[file]))
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(st.integers(0, len(text)))
        last = data.draw(st.integers(first, min(len(text), first + 40)))
        text = text[:first] + "".join(data.draw(st.lists(st.sampled_from(PIECES), max_size=3))) + text[last:]
    check(text, file)


def test_every_kind_is_fuzzed() -> None:
    assert {KINDS_BY_ENDING[ending] for ending in ENDINGS} == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_sample_read_as_another_kind(kind: str) -> None:
    for file, samples in SAMPLES.items():
        for text in samples:
            check(text, file, kind)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "piece", ["[[a]]\n", "/*\n*/", "*a ", "(", "[", "> ", '"', "“a", "<a>", "`a", "a,", "A\n", "|a\n"]
)
def test_much_of_the_same_takes_no_longer(ending: str, piece: str) -> None:
    text = piece * 4000
    if "\n" not in piece:  # in lines of a length that is taken
        text = "\n".join(text[at : at + 120] for at in range(0, len(text), 120))
    check(text, f"x{ending}")
