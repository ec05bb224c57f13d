import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import BadInput
from farm.script.read import READERS, read_script

RATE = Fraction(24)
GOOD = """\
title: The Crossing
style: cut paper
shots:
  - id: 12a
    scene: harbour
    prompt: A red boat sails on.
    duration: 8s
    camera: push in
    seed: 7
    continuity: chain
  - prompt: A car hops.
    frames: 30
"""


def read(text: str, name: str = "x.yaml"):
    return read_script(text.encode(), name, RATE)


def test_a_shot_list_is_read_with_lines() -> None:
    made = read(GOOD)
    first, second = made.shots
    assert (first.id, first.scene, first.frames, first.seed) == ("12A", "harbour", 192, 7)
    assert first.prompt == "A red boat sails on. The camera: push in."
    assert made.style == "cut paper"
    assert first.continuity == "chain"
    assert (first.source.first, second.source.first) == (4, 11)
    assert (second.id, second.frames, second.seed) == ("2", 30, None)


def test_json_says_the_same() -> None:
    text = json.dumps({"title": "T", "shots": [{"prompt": "A\tb", "frames": 5}]}, indent="\t")
    made = read(text, "x.json")
    assert made.shots[0].prompt == "A b."
    assert made.shots[0].source.first == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("shots:\n  - promt: x\n", "line 2: a shot takes no key 'promt': did you mean 'prompt'?"),
        ("shots:\n  - prompt: x\n    seed: many\n", "line 3: seed must be a whole number"),
        ("shots:\n  - prompt: x\n    duration: long\n", "line 3: 'long' is no duration"),
        ("shots:\n  - prompt: x\n    duration: 99999s\n", "line 3: a shot of 99999 seconds"),
        ("shots:\n  - prompt: x\n    frames: 999999999\n", "line 3: a shot of"),
        ("shots:\n  - prompt: x\n    duration: 2s\n    frames: 3\n", "give duration or frames, not both"),
        ("shots:\n  - prompt: x\n    prompt: y\n", "'prompt' is given twice"),
        ("shots:\n  - prompt: x\n    continuity: glue\n", "there is no continuity 'glue'"),
        ("shots:\n  - duration: 2s\n", "line 2: the shot has no prompt"),
        ("shots:\n  - {id: 1, prompt: x}\n  - {id: 1, prompt: y}\n", "shot id 1 is already that of line 2"),
        ("shots:\n  - {id: ../../etc, prompt: x}\n", "is no shot id"),
        ("shots: []\n", "must be a list of at least one shot"),
        ("title: x\n", "there is no `shots:`"),
        ("? [a, b]\n: c\n", "keys must be plain words"),
        ("shots:\n  - prompt: " + "x" * 6000 + "\n", "line 2: a line may have 5,000 characters"),
        ("- a\n- b\n", "a shot list must be a mapping"),
        ("shots: [\n", "not valid YAML"),
        ("a: &a [x]\nb: [*a, *a]\n", "anchors and aliases"),
        ("shots: " + "[" * 30 + "]" * 30 + "\n", "nested more than 20 deep"),
        ("shots:\n  - !!python/object/apply:os.system ['true']\n", "a shot must be a mapping"),
    ],
)
def test_bad_shot_lists_name_line_and_key(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(text)
    assert str(caught.value).startswith("x.yaml")
    assert sentence in str(caught.value)


def test_json_may_hold_emoji_nulls_and_no_control_characters() -> None:
    made = read('{"shots": [{"prompt": "a \\ud83d\\ude00 b", "camera": null, "seed": null}]}', "x.json")
    assert made.shots[0].prompt == "a 😀 b."
    assert (made.shots[0].camera, made.shots[0].seed) == (None, None)
    with pytest.raises(BadInput, match="prompt holds control characters"):
        read('{"shots": [{"prompt": "a \\u001b[2J"}]}', "x.json")


def test_bad_json_names_its_line() -> None:
    with pytest.raises(BadInput, match="x.json, line 2: not valid JSON"):
        read('{"shots":\n nope}', "x.json")


def test_kinds_sizes_and_bytes_are_checked_first() -> None:
    with pytest.raises(BadInput, match=r"kind '\.docx' are not read"):
        read_script(b"x", "x.docx", RATE)
    with pytest.raises(BadInput, match="a script may have 2,000,000"):
        read_script(b"x" * 2_000_001, "x.fountain", RATE)
    with pytest.raises(BadInput, match="not a text file in UTF-8"):
        read_script(b"\xff\xfe\x00", "x.fountain", RATE)


@given(st.text(max_size=400), st.sampled_from(sorted(READERS)))
def test_no_text_makes_a_reader_crash(text: str, ending: str) -> None:
    try:
        made = read_script(text.encode("utf-8", "surrogatepass"), f"x{ending}", RATE)
    except BadInput as error:
        assert str(error).startswith(f"x{ending}")
    else:
        assert made.shots
        assert all(shot.frames > 0 for shot in made.shots)
