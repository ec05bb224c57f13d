"""Completion in the shell: verbs, flags, scripts, films, groups and keys of settings.

A shell asks at every press of a key, so nothing heavy may be imported here: the keys are read from
the source of `farm/schema.py` and the choices from the names of the files in `conf/`.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import argcomplete
from argcomplete.completers import FilesCompleter

SCHEMA = Path(__file__).parent / "schema.py"
ROOT = "FarmConf"  # the class that holds all the others
ENDINGS = (
    ".fountain",
    ".spmd",
    ".fdx",
    ".yaml",
    ".yml",
    ".json",
    ".csv",
    ".tsv",
    ".md",
    ".markdown",
    ".txt",
)  # a test holds them equal to the readers'
MARK = "#: "


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is written (`seed`, `model.steps`) or a group (`model`), and what is said of it."""

    name: str
    kind: str
    help: str
    is_group: bool = False


def read_keys(source: str) -> dict[str, Key]:
    """Read all groups and keys from the schemas' source, in its order.

    What a key means is said in a comment that begins with `#:`, above it or behind it; what a group
    means is the first line of its class's docstring.
    """
    lines = source.splitlines()
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    keys: dict[str, Key] = {}

    def add(inside: str, prefix: str) -> None:
        for node in classes[inside].body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            name, kind = prefix + node.target.id, ast.unparse(node.annotation)
            if kind in classes:
                text = ast.get_docstring(classes[kind]) or ""
                keys[name] = Key(name, kind, text.partition("\n")[0], is_group=True)
                add(kind, f"{name}.")
            else:
                keys[name] = Key(name, kind, _comment(lines, node))

    add(ROOT, "")
    return keys


def _comment(lines: list[str], node: ast.AnnAssign) -> str:
    _, found, behind = lines[(node.end_lineno or node.lineno) - 1].partition(MARK)
    if found:
        return behind.strip()
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith(MARK.strip()):
            break
        above.insert(0, line.strip().removeprefix(MARK.strip()).strip())
    return " ".join(above)


def choices(group: str) -> list[str]:
    """The choices of a group: the names of the files in its folder."""
    folder = files("farm.conf") / group
    names = (item.name for item in folder.iterdir()) if folder.is_dir() else iter(())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name[0] != "_")


def complete_setting(prefix: str, **_: Any) -> dict[str, str]:
    """What a setting that begins with `prefix` could be, each with what it means."""
    return {text: meaning for text, meaning in _settings(prefix) if text.startswith(prefix)}


def _settings(prefix: str) -> Iterator[tuple[str, str]]:
    keys = read_keys(SCHEMA.read_text(encoding="utf-8"))
    name, equals, _ = prefix.partition("=")
    if equals:
        key = keys.get(name)
        values: Iterable[str] = ()
        if key is not None:
            values = choices(name) if key.is_group else ("true", "false") if key.kind == "bool" else ()
        yield from ((f"{name}={value}", key.help if key else "") for value in values)
        return
    folded = {name for name, key in keys.items() if key.is_group and choices(name)}
    for key in keys.values():
        if key.name in folded:
            yield f"{key.name}=", key.help
            if "." not in prefix:
                yield f"{key.name}.", "one key of it"
        # The keys of a group that has choices are many: they are told once its dot is typed.
        elif not key.is_group and ("." in prefix or key.name.partition(".")[0] not in folded):
            yield f"{key.name}=", key.help


def complete_film(prefix: str, **_: Any) -> dict[str, str]:
    """The films in `renders`; settings too, which may stand in a film's place."""
    films = sorted(path.parent.name for path in Path("renders").glob("*/plan.json"))
    found = {name: "a film" for name in films if name.startswith(prefix)}
    return {**found, **complete_setting(prefix)}


def attach(parser: argparse.ArgumentParser) -> None:
    """Tell argcomplete, for every verb, what its arguments can be; flags and verbs it knows itself."""
    completers: dict[str, Any] = {
        "script": FilesCompleter(ENDINGS),
        "film": complete_film,
        "overrides": complete_setting,
    }
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                attach(verb)
        elif action.dest in completers:
            action.completer = completers[action.dest]  # type: ignore[attr-defined]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and exit; return where it is no shell that asks."""
    attach(parser)
    # Flags are offered once a dash is typed: an empty word asks for what comes next.
    argcomplete.autocomplete(parser, always_complete_options=False)
