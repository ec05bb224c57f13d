from fractions import Fraction

import pytest

from farm.errors import BadInput
from farm.script.fdx import read_fdx
from farm.script.model import Action, Speech, Transition
from farm.script.read import read_script

RATE = Fraction(16)
SCRIPT = """\
<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<FinalDraft DocumentType="Script" Template="No" Version="4">
  <Content>
    <Paragraph Type="Transition"><Text>FADE IN:</Text></Paragraph>
    <Paragraph Number="12A" Type="Scene Heading">
      <SceneProperties Length="1/8" Page="1" Title="">
        <Summary><Paragraph><Text>A summary.</Text></Paragraph></Summary>
      </SceneProperties>
      <Text>EXT. OPEN SEA - SUNSET</Text>
    </Paragraph>
    <Paragraph Type="Action">
      <ScriptNote ID="1"><Paragraph><Text>Too dear?</Text></Paragraph></ScriptNote>
      <Text>A </Text><Text Style="Bold">red boat</Text><Text Style="Strikeout"> sinks</Text>
      <Text> &amp; a gull sail on [[8s]].</Text>
    </Paragraph>
    <Paragraph Type="Character"><Text>CAPTAIN (V.O.) (CONT'D)</Text></Paragraph>
    <Paragraph Type="Parenthetical"><Text>(quietly)</Text></Paragraph>
    <Paragraph Type="Dialogue"><Text>We are late.</Text></Paragraph>
    <Paragraph>
      <DualDialogue>
        <Paragraph Type="Character"><Text>SALLY</Text></Paragraph>
        <Paragraph Type="Dialogue"><Text>Hello.</Text></Paragraph>
        <Paragraph Type="Character"><Text>BOB</Text></Paragraph>
        <Paragraph Type="Dialogue"><Text>Hi.</Text></Paragraph>
      </DualDialogue>
    </Paragraph>
    <Paragraph Type="Shot"><Text>ANGLE ON THE SAIL</Text></Paragraph>
    <Paragraph Type="Action"><Text>It flaps.</Text></Paragraph>
    <Paragraph Type="Action"><Text>[[2.5s]]</Text></Paragraph>
    <Paragraph Type="Shot"><Text>CLOSE ON: THE GULL</Text></Paragraph>
    <Paragraph Type="Lyrics"><Text>La la.</Text></Paragraph>
    <Paragraph Alignment="Center" Type="General"><Text>THE END</Text></Paragraph>
    <Paragraph Type="Sidebar"><Text>Aside.</Text></Paragraph>
    <Paragraph Type="Cast List"><Text>ALL</Text></Paragraph>
  </Content>
  <TitlePage>
    <HeaderAndFooter><Header><Paragraph><Text>Page</Text></Paragraph></Header></HeaderAndFooter>
    <Content>
      <Paragraph Alignment="Center"><Text></Text></Paragraph>
      <Paragraph Alignment="Center"><Text Style="Underline">The Crossing</Text></Paragraph>
      <Paragraph Alignment="Center"><Text>Written by</Text></Paragraph>
      <Paragraph Alignment="Center"><Text>Ann Lee</Text></Paragraph>
      <Paragraph Alignment="Center"><Text>From a story</Text></Paragraph>
      <Paragraph Alignment="Left"><Text>12 Road</Text></Paragraph>
    </Content>
  </TitlePage>
  <SmartType><Characters><Character>CAPTAIN</Character></Characters></SmartType>
</FinalDraft>
"""


def wrap(inside: str) -> str:
    return f"<FinalDraft><Content>{inside}</Content></FinalDraft>"


def test_a_final_draft_script_is_read_with_lines() -> None:
    made = read_fdx(SCRIPT, "x.fdx")
    assert (made.title, made.credits) == ("The Crossing", ("Written by Ann Lee", "From a story"))
    before, scene = made.scenes
    assert [element.text for element in before.elements] == ["FADE IN:"]
    assert isinstance(before.elements[0], Transition)
    assert (scene.heading, scene.number, scene.source.first) == ("EXT. OPEN SEA - SUNSET", "12A", 5)
    said = [(e.character, e.text) for e in scene.elements if isinstance(e, Speech)]
    assert said == [("CAPTAIN", "We are late."), ("SALLY", "Hello."), ("BOB", "Hi.")]
    seen = [
        (e.text, e.seconds, e.source.first, e.source.last) for e in scene.elements if isinstance(e, Action)
    ]
    assert seen == [
        ("A red boat & a gull sail on.", 8, 11, 15),
        ("ANGLE ON THE SAIL. It flaps.", Fraction(5, 2), 27, 28),
        ("CLOSE ON: THE GULL", None, 30, 30),
    ]
    assert [(item.text, item.why) for item in made.unfilmed] == [
        ("La la.", "lyrics are not filmed"),
        ("THE END", "centred text is not filmed"),
        ("Aside.", "a paragraph of type 'Sidebar' is not filmed"),
    ]


def test_it_becomes_shots_with_locked_ids() -> None:
    made = read_script(SCRIPT.encode(), "x.fdx", RATE)
    assert [shot.id for shot in made.shots] == ["12A", "12A-2", "12A-3"]
    assert made.shots[0].prompt == "Open sea, sunset. A red boat & a gull sail on."
    assert made.shots[0].frames == 128
    assert made.credits == ("Written by Ann Lee", "From a story")


def test_all_on_one_line_and_with_a_byte_order_mark() -> None:
    inside = "".join(f'<Paragraph Type="Action"><Text>Boat {n}.</Text></Paragraph>' for n in range(200))
    made = read_script(b"\xef\xbb\xbf" + wrap(inside).encode(), "x.fdx", RATE)
    assert len(made.shots) == 200
    assert {shot.source.first for shot in made.shots} == {1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A boat.", "x.fdx, line 1: not valid XML"),
        ("<FinalDraft>\n<Content>\n<Paragraph>\n</FinalDraft>", "x.fdx, line 4: not valid XML"),
        ("<html></html>", "no Final Draft script: it begins with <html>"),
        (
            '<?xml version="1.0" encoding="utf-16"?>\n<FinalDraft/>',
            "line 1: it is declared to be in 'utf-16'",
        ),
        ('<!DOCTYPE x [<!ENTITY a "b">]><FinalDraft/>', "document types and entities"),
        ('<!DOCTYPE x SYSTEM "http://localhost/x.dtd"><FinalDraft/>', "document types and entities"),
        (wrap("<Paragraph><Text>&a;</Text></Paragraph>"), "not valid XML: undefined entity"),
        (wrap("\n<Paragraph><Text>A. [[9999s]]</Text></Paragraph>"), "line 2: a shot of 9999 seconds"),
        (wrap("\n<Paragraph><Text>A. [[8s</Text></Paragraph>"), "line 2: a note is opened with [["),
        (wrap(f"\n<Paragraph><Text>{'x' * 6000}</Text></Paragraph>"), "line 2: a paragraph may have 5,000"),
        (wrap(""), "nothing in it can be filmed"),
    ],
)
def test_bad_files_get_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match="x.fdx") as caught:
        read_script(text.encode(), "x.fdx", RATE)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
