"""YAML as nodes, each with its line, so that what is wrong can be said to be somewhere."""

from __future__ import annotations

from typing import Any

import yaml

from farm.errors import BadInput, suggest

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH = 20


def compose(text: str, file: str, begin: str) -> yaml.Node:
    """Parse to nodes, refusing what could grow: aliases, tags, deep nesting. `begin` says how a file begins.

    Raises BadInput with the line.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise BadInput(
                    f"{file}, line {line}: anchors and aliases (& and *) are not taken: write it out"
                )
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise BadInput(f"{file}, line {line}: nested more than {_MAX_DEPTH} deep")
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise BadInput(f"{file}{where}: not valid YAML: {problem}") from error
    if node is None:
        raise BadInput(f"{file}: the file is empty: write {begin}")
    return node


def fields_of(node: yaml.Node, known: set[str], file: str, what: str, such: str) -> dict[str, yaml.Node]:
    """The values of a mapping by their keys; what is null is left out. `such` is an example of one.

    Raises BadInput with the line for a key that is not `known`, or given twice.
    """
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"{file}, line {line}: {what} must be a mapping of keys, such as `{such}`")
    fields: dict[str, yaml.Node] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BadInput(f"{file}, line {line}: keys must be plain words")
        name = key.value
        if name not in known:
            raise BadInput(f"{file}, line {line}: {what} takes no key {name!r}: {suggest(name, known)}")
        if name in fields:
            raise BadInput(f"{file}, line {line}: {name!r} is given twice")
        if value.tag != "tag:yaml.org,2002:null":  # `seed:` with nothing behind it is not given
            fields[name] = value
    return fields
