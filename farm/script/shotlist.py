"""Shot lists in YAML or JSON, read with the line of every value.

title: The Crossing
style: cut paper           # optional: stands before every prompt
negative: photograph       # optional: what no picture should be like
cast:                      # optional: said behind these names wherever they are in a prompt
  Mira: a girl in a red dress
shots:
  - id: 12A                # optional, locked
    scene: harbour         # optional: shots of one scene share a look
    prompt: A red boat sails on across the sea at sunset.
    duration: 8s           # or frames: 128
    camera: push in        # optional
    seed: 7                # optional
    continuity: chain      # optional: auto, cut, chain, weave or stagger
"""

from __future__ import annotations

import json
import re
from fractions import Fraction

import yaml

from farm.errors import BadInput, suggest
from farm.script.durations import action_seconds, check_seconds, parse_seconds
from farm.script.model import CONTINUITIES, Member, Shot, ShotList, Source, check_shots
from farm.script.nodes import compose, fields_of
from farm.timebase import frames_in

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
# An emoji as JSON escapes it; YAML knows no such pairs.
_PAIR = re.compile(r"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_FILM_KEYS = {"title", "style", "negative", "cast", "shots"}
SHOT_KEYS = {"id", "scene", "prompt", "duration", "frames", "camera", "seed", "continuity"}
_MAX_PROMPT = 4000


class ShotReader:
    """Reads the values of one shot list; rows of tables come to it as nodes too."""

    def __init__(self, file: str, rate: Fraction) -> None:
        self.file, self.rate = file, rate

    def source(self, node: yaml.Node) -> Source:
        first = node.start_mark.line + 1
        last = max(first, node.end_mark.line + (1 if node.end_mark.column else 0))
        return Source(file=self.file, first=first, last=last)

    def text(self, node: yaml.Node, name: str, limit: int = 200) -> str:
        source = self.source(node)
        if not isinstance(node, yaml.ScalarNode):
            raise BadInput(f"{source}: {name} must be text")
        text = " ".join(node.value.split())
        if not text:
            raise BadInput(f"{source}: {name} is empty")
        if _CONTROL.search(text):
            raise BadInput(f"{source}: {name} holds control characters")
        if len(text) > limit:
            raise BadInput(f"{source}: {name} has {len(text)} characters; at most {limit} are taken")
        return text

    def whole(self, node: yaml.Node, name: str, most: int) -> int:
        word, source = self.text(node, name), self.source(node)
        if not re.fullmatch(r"[0-9]{1,12}", word) or int(word) > most:
            raise BadInput(f"{source}: {name} must be a whole number from 0 to {most}, not {word!r}")
        return int(word)

    def frames(self, fields: dict[str, yaml.Node], prompt: str, source: Source) -> int:
        if "duration" in fields and "frames" in fields:
            raise BadInput(f"{source}: give duration or frames, not both")
        if "frames" in fields:
            where = self.source(fields["frames"])
            frames = self.whole(fields["frames"], "frames", 10**9)
            check_seconds(Fraction(frames) / self.rate, where)
            return frames
        if "duration" in fields:
            where = self.source(fields["duration"])
            word = self.text(fields["duration"], "duration")
            seconds = parse_seconds(word, where)
            if seconds is None:
                raise BadInput(f"{where}: {word!r} is no duration: write one like 8s or 2.5s")
            return frames_in(seconds, self.rate)
        return frames_in(action_seconds(prompt), self.rate)

    def cast(self, node: yaml.Node) -> tuple[Member, ...]:
        if not isinstance(node, yaml.MappingNode):
            raise BadInput(f"{self.source(node)}: cast must be a mapping of names, such as `Mira: a girl`")
        members: dict[str, Member] = {}
        for key, value in node.value:
            name = self.text(key, "a name in cast", 60)
            if name.lower() in members:
                raise BadInput(f"{self.source(key)}: {name!r} is cast twice")
            members[name.lower()] = Member(name=name, words=self.text(value, f"cast.{name}", 300))
        return tuple(members.values())

    def shot(self, node: yaml.Node, index: int) -> Shot:
        fields = fields_of(node, SHOT_KEYS, self.file, "a shot", "prompt: …")
        source = self.source(node)
        if "prompt" not in fields:
            raise BadInput(f"{source}: the shot has no prompt: say what is seen")
        prompt = self.text(fields["prompt"], "prompt", _MAX_PROMPT)
        shot_id = str(index + 1)
        if "id" in fields:
            shot_id = self.text(fields["id"], "id").upper()
            if not _ID.fullmatch(shot_id):
                where = self.source(fields["id"])
                raise BadInput(f"{where}: {shot_id!r} is no shot id: use letters, digits, dots and dashes")
        continuity = None
        if "continuity" in fields:
            word = self.text(fields["continuity"], "continuity")
            continuity = next((way for way in CONTINUITIES if way == word), None)
            if continuity is None:
                where = self.source(fields["continuity"])
                raise BadInput(f"{where}: there is no continuity {word!r}: {suggest(word, CONTINUITIES)}")
        camera = self.text(fields["camera"], "camera") if "camera" in fields else None
        parts = [prompt, f"The camera: {camera}" if camera else None]
        return Shot(
            id=shot_id,
            scene=self.text(fields["scene"], "scene") if "scene" in fields else shot_id,
            prompt=" ".join(part.rstrip(".") + "." for part in parts if part),
            frames=self.frames(fields, prompt, source),
            source=source,
            camera=camera,
            seed=self.whole(fields["seed"], "seed", 2**63 - 1) if "seed" in fields else None,
            continuity=continuity,
        )


def read_shot_list(text: str, file: str, rate: Fraction, *, is_json: bool) -> ShotList:
    """Read a shot list at a frame rate.

    Raises:
        BadInput: naming file, line and key, for whatever is not as the module's text says.
    """
    if is_json:
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            where, problem = "", "too deeply nested"
            if isinstance(error, json.JSONDecodeError):
                where, problem = f", line {error.lineno}", error.msg
            raise BadInput(f"{file}{where}: not valid JSON: {problem}") from error
        # JSON is YAML but for tabs, which are only white space there (a JSON string holds none).
        text = _PAIR.sub(lambda match: json.loads(f'"{match[0]}"'), text.replace("\t", " "))
    begun = compose(text, file, "`shots:` with at least one shot")
    film = fields_of(begun, _FILM_KEYS, file, "a shot list", "prompt: …")
    if "shots" not in film:
        raise BadInput(f"{file}: there is no `shots:` in it: list at least one shot")
    node = film["shots"]
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        line = node.start_mark.line + 1
        raise BadInput(f"{file}, line {line}: `shots:` must be a list of at least one shot")
    reader = ShotReader(file, rate)
    shots = tuple(reader.shot(item, index) for index, item in enumerate(node.value))

    def words(name: str, limit: int = 1000) -> str | None:
        return reader.text(film[name], name, limit) if name in film else None

    return check_shots(
        ShotList(
            title=words("title", 200),
            shots=shots,
            cast=reader.cast(film["cast"]) if "cast" in film else (),
            style=words("style"),
            negative=words("negative"),
        )
    )
