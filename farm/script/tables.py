"""Shot lists as tables: CSV (commas, semicolons or tabs), and tables in Markdown.

| id  | prompt                                     | duration |
|-----|--------------------------------------------|----------|
| 12A | A red boat sails on across the sea.        | 8s       |

The columns are the keys of a shot list in YAML, and are checked as those are; an empty cell is not given.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import yaml
from markdown_it import MarkdownIt

from farm.errors import BadInput, suggest
from farm.script.model import ShotList, check_shots
from farm.script.prose import say
from farm.script.shotlist import SHOT_KEYS, ShotReader

# Other names that shot lists use.
SYNONYMS = {
    "description": "prompt",
    "action": "prompt",
    "shot": "id",
    "shot id": "id",
    "shot no": "id",
    "shot number": "id",
    "no": "id",
    "number": "id",
    "#": "id",
    "length": "duration",
    "seconds": "duration",
    "camera move": "camera",
    "movement": "camera",
    "location": "scene",
}
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_DELIMITERS = ",;\t|"
_MARKDOWN = MarkdownIt("commonmark").enable("table").disable("inline")


@dataclass(frozen=True, slots=True)
class _Row:
    cells: list[str]
    first: int
    last: int


def _column(cell: str) -> str:
    name = " ".join(cell.replace("_", " ").split()).strip(" .:").lower()
    return SYNONYMS.get(name, name)


def _columns(header: _Row, file: str) -> list[tuple[str, bool]]:
    """The key of each column, and whether its bare numbers are seconds."""
    where = f"{file}, line {header.first}"
    columns: list[tuple[str, bool]] = []
    for cell in header.cells:
        name = _column(cell)
        if name and name not in SHOT_KEYS:
            shown = " ".join(cell.split())[:40]
            raise BadInput(f"{where}: a shot list takes no column {shown!r}: {suggest(name, SHOT_KEYS)}")
        if name and name in (known for known, _ in columns):
            raise BadInput(f"{where}: there are two columns for {name!r}: leave one")
        columns.append((name, cell.strip().lower() == "seconds"))
    if "prompt" not in (name for name, _ in columns):
        raise BadInput(
            f"{where}: there is no column `prompt`, which says what is seen: {suggest('', SHOT_KEYS)}"
        )
    return columns


def _scalar(text: str, row: _Row) -> yaml.ScalarNode:
    first = yaml.Mark("", 0, row.first - 1, 0, None, 0)
    last = yaml.Mark("", 0, row.last - 1, 1, None, 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, first, last)


def _shots(rows: list[_Row], file: str) -> Iterator[yaml.MappingNode]:
    """The rows under a header as the nodes that a shot list in YAML is made of."""
    columns = _columns(rows[0], file)
    for row in rows[1:]:
        cells = [cell.strip() for cell in row.cells]
        if not any(cells):
            continue
        if any(cells[len(columns) :]) or any(
            cell and not name for cell, (name, _) in zip(cells, columns, strict=False)
        ):
            raise BadInput(
                f"{file}, line {row.first}: it has a cell in no named column: name it or quote commas"
            )
        pairs = [
            (_scalar(name, row), _scalar(f"{cell}s" if bare and _SECONDS.fullmatch(cell) else cell, row))
            for cell, (name, bare) in zip(cells, columns, strict=False)
            if cell
        ]
        start, end = _scalar("", row).start_mark, _scalar("", row).end_mark
        yield yaml.MappingNode("tag:yaml.org,2002:map", pairs, start, end)


def _read(tables: list[list[_Row]], file: str, rate: Fraction, title: str | None = None) -> ShotList:
    reader = ShotReader(file, rate)
    nodes = [node for table in tables for node in _shots(table, file)]
    if not nodes:
        line = tables[0][0].first
        raise BadInput(f"{file}, line {line}: there is no shot under this header: give each a line")
    shots = tuple(reader.shot(node, index) for index, node in enumerate(nodes))
    return check_shots(ShotList(title=title, shots=shots))


def _split(text: str, delimiter: str, file: str) -> Iterator[_Row]:
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=True)
    first = 1
    try:
        for cells in rows:
            yield _Row(cells, first, max(first, rows.line_num))
            first = rows.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{file}, line {first}: not valid CSV: {error}: check its quotes") from error


def read_csv(text: str, file: str, rate: Fraction) -> ShotList:
    """Read a shot list in CSV; what parts the cells is seen from the header.

    Raises:
        BadInput: naming file, line and column, for whatever is no such list.
    """
    head = next(line for line in text.split("\n") if line.strip())

    def known(delimiter: str) -> int:
        return sum(_column(cell.strip(' "')) in SHOT_KEYS for cell in head.split(delimiter))

    delimiter = max(_DELIMITERS, key=known)
    rows = [row for row in _split(text, delimiter, file) if any(cell.strip() for cell in row.cells)]
    if not rows:
        raise BadInput(f"{file}: the file is empty")
    return _read([rows], file, rate)


def _tables(text: str) -> tuple[list[list[_Row]], str | None]:
    """The tables of a Markdown file that have a column for prompts, and its first heading."""
    tables: list[list[_Row]] = []
    title: str | None = None
    cell = heading = False
    for token in _MARKDOWN.parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            first = token.map[0] + 1 if token.map else 1
            tables[-1].append(_Row([], first, first))
        elif token.type in ("th_open", "td_open", "heading_open"):
            cell, heading = token.type != "heading_open", token.type == "heading_open"
        elif token.type == "inline" and cell:
            tables[-1][-1].cells.append(say(token.content))
            cell = False
        elif token.type == "inline" and heading:
            title, heading = title or say(token.content)[:200] or None, False
    return [rows for rows in tables if "prompt" in map(_column, rows[0].cells)], title


def holds_shots(text: str) -> bool:
    """Whether a Markdown file has a table with a column for prompts."""
    return "|" in text and bool(_tables(text)[0])


def read_markdown_table(text: str, file: str, rate: Fraction) -> ShotList:
    """Read the shot list in a Markdown file: all its tables that have a column for prompts, in order.

    Raises:
        BadInput: naming file, line and column, for whatever is no such list.
    """
    tables, title = _tables(text)
    if not tables:
        raise BadInput(f"{file}: there is no table with a column `prompt` in it: add one")
    return _read(tables, file, rate, title)
