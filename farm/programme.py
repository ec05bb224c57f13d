"""A night's programme: which films, with which settings, in which order of priority.

name: tuesday                  # optional: else the file's name
until: "07:30"                 # optional: the local time at which the night is over
settings:                      # optional: for all films, and for the farm
  quality: draft
  store: minio
films:
  - script: harbour.fountain   # beside this file
    priority: 2                # optional: the higher goes first, 0 unless said
    settings: {seed: 7}        # optional: for this film
  - script: storm.fountain
    sweep:                     # optional: a film for each choice
      seed: [1, 2, 3]
      quality: [draft, standard]
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from farm.errors import BadInput
from farm.plan.naming import film_name
from farm.script.nodes import compose, fields_of

MAX_FILMS = 1000
MAX_BYTES = 1_000_000
_KEYS = {"name", "until", "settings", "films"}
_FILM_KEYS = {"script", "priority", "settings", "sweep"}
_FARM = ("store", "cluster", "limits", "ask_above_minutes")
_PLAIN = re.compile(r"[\w./:+-]+")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One film of a night: its script, its own settings, and what tells it from others of its script."""

    script: Path
    settings: tuple[str, ...]
    priority: int = 0
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """A night. `until` is (hour, minute) of this machine's time; `settings` are those of all films."""

    name: str
    until: tuple[int, int] | None
    settings: tuple[str, ...]
    entries: tuple[Entry, ...]


def read_programme(path: Path, data: bytes) -> Programme:
    """Read a programme. Raises BadInput with the line."""
    file = path.name
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text in UTF-8") from error
    such = "script: harbour.fountain"
    begun = compose(text, file, "`films:` with at least one film")
    fields = fields_of(begun, _KEYS, file, "a night", "films: …")
    films = fields.get("films")
    if not isinstance(films, yaml.SequenceNode) or not films.value:
        raise BadInput(f"{_at(file, films or begun)}: a night has a list of `films:`, each with `{such}`")
    entries: list[Entry] = []
    for node in films.value:
        entries += _entries(fields_of(node, _FILM_KEYS, file, "a film", such), node, path)
        if len(entries) > MAX_FILMS:
            raise BadInput(f"{_at(file, node)}: a night takes at most {MAX_FILMS} films")
    until = None
    if (node := fields.get("until")) is not None:
        if (match := _TIME.fullmatch(_text(node, "until", file))) is None:
            raise BadInput(f'{_at(file, node)}: until is a time of day, such as "07:30"')
        until = (int(match[1]), int(match[2]))
    return Programme(
        name=film_name(_text(fields["name"], "name", file) if "name" in fields else None, file),
        until=until,
        settings=_settings(fields.get("settings"), file),
        entries=tuple(entries),
    )


def _entries(fields: dict[str, yaml.Node], node: yaml.Node, path: Path) -> list[Entry]:
    """A film of the programme, or one for each choice of its sweep."""
    file = path.name
    if "script" not in fields:
        raise BadInput(f"{_at(file, node)}: the film has no script: name its file")
    priority = _text(fields["priority"], "priority", file) if "priority" in fields else "0"
    if not re.fullmatch(r"-?[0-9]{1,6}", priority):
        raise BadInput(f"{_at(file, fields['priority'])}: priority must be a whole number, not {priority!r}")
    settings = _settings(fields.get("settings"), file)
    choices: list[tuple[str, ...]] = [()]
    if (swept := fields.get("sweep")) is not None:
        choices = expand(_pairs(swept, file, "sweep", joined=","), _at(file, swept))
    for setting in (*settings, *choices[0]):
        if setting.partition("=")[0].partition(".")[0] in _FARM:
            raise BadInput(
                f"{_at(file, node)}: {setting} is of the whole night: write it into its own settings"
            )
    return [
        Entry(
            script=path.parent / _text(fields["script"], "script", file),
            settings=(*settings, *choice),
            priority=int(priority),
            variant=variant(choice),
        )
        for choice in choices
    ]


def sweep(script: Path, overrides: Sequence[str]) -> Programme:
    """A night of one script, with a film for each choice among overrides such as `seed=1,2,3`.

    Raises:
        BadInput: where nothing is to be chosen, or the farm's own settings are.
    """
    parsed = _parse(overrides, "the command line")
    swept = [item.input_line or "" for item in parsed if item.is_sweep_override()]
    if not swept:
        raise BadInput(
            "there is nothing to choose from: -m takes settings such as seed=1,2,3 quality=draft,standard"
        )
    for item in swept:
        if item.partition("=")[0].partition(".")[0] in _FARM:
            raise BadInput(f"{item}: where and with what a film is rendered cannot be swept over")
    rest = tuple(item for item in overrides if item not in swept)
    return Programme(
        name=film_name(None, script.name),
        until=None,
        settings=rest,
        entries=tuple(
            Entry(script=script, settings=choice, variant=variant(choice))
            for choice in expand(swept, "the command line")
        ),
    )


def expand(swept: Sequence[str], where: str) -> list[tuple[str, ...]]:
    """Every choice among overrides in Hydra's sweep syntax. Raises BadInput."""
    parsed = _parse(swept, where)
    try:
        (choices,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except (HydraException, ValueError) as error:
        raise BadInput(f"{where}: {' '.join(str(error).split())}") from error
    if len(choices) > MAX_FILMS:
        raise BadInput(f"{where}: the sweep makes {len(choices)} films; at most {MAX_FILMS} are taken")
    return [tuple(choice) for choice in choices]


def _parse(overrides: Sequence[str], where: str) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise BadInput(f"{where}: {' '.join(str(error).split())[:200]}") from error


def variant(choice: Sequence[str]) -> str:
    """What a film is called beside others of its script: "seed-2-quality-draft"."""
    pairs = [item.partition("=") for item in choice]
    words = "-".join(f"{key.rpartition('.')[2]}-{value}" for key, _, value in pairs)
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    if len(slug) <= 40:
        return slug
    return f"{slug[:31].rstrip('-')}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def _settings(node: yaml.Node | None, file: str) -> tuple[str, ...]:
    return () if node is None else tuple(_pairs(node, file, "settings"))


def _pairs(node: yaml.Node, file: str, what: str, joined: str | None = None) -> list[str]:
    """A mapping as overrides; a list in it is one value, or with `joined` the choices there are."""
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"{_at(file, node)}: {what} must be a mapping, such as `quality: draft`")
    found = []
    for key, value in node.value:
        name = _text(key, "a key", file)
        if isinstance(value, yaml.SequenceNode):
            items = [_value(item, name, file) for item in value.value]
            text = joined.join(items) if joined else f"[{','.join(items)}]"
        else:
            text = _text(value, name, file) if joined else _value(value, name, file)
        found.append(f"{name}={text}")
    return found


def _value(node: yaml.Node, name: str, file: str) -> str:
    """A value as Hydra reads it: quoted where it is more than a word."""
    if node.tag == "tag:yaml.org,2002:null":
        return "null"
    text = _text(node, name, file)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return text if _PLAIN.fullmatch(text) else f"'{quoted}'"


def _text(node: yaml.Node, name: str, file: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip() or not node.value.isprintable():
        raise BadInput(f"{_at(file, node)}: {name} must be a plain value")
    return str(node.value)


def _at(file: str, node: yaml.Node) -> str:
    return f"{file}, line {node.start_mark.line + 1}"
