"""What a script parses to (a screenplay) and what the director makes of it (shots)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from farm.errors import BadInput

MAX_BYTES = 2_000_000  # ten times a feature-length screenplay
MAX_SHOTS = 20_000
MAX_SHOT_SECONDS = 600

Continuity = Literal["auto", "cut", "chain", "weave", "stagger"]
CONTINUITIES: tuple[Continuity, ...] = ("auto", "cut", "chain", "weave", "stagger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The lines a thing came from, counted from 1, both included."""

    file: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A paragraph of what is seen. `seconds` where the script says how long (`[[8s]]`)."""

    text: str
    source: Source
    seconds: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Words somebody says."""

    character: str
    text: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A transition as written, such as "DISSOLVE TO:"."""

    text: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene: its heading as written, its locked number if it has one, and what happens in it."""

    heading: str
    number: str | None
    elements: tuple[Action | Speech | Transition, ...]
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfilmed:
    """A passage that was not filmed, and why."""

    text: str
    why: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A character or a place, and the words that describe it ("" where the script has none)."""

    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenplay:
    """A parsed screenplay, in the order of the script; `cast` holds what its notes say of names."""

    title: str | None
    scenes: tuple[Scene, ...]
    unfilmed: tuple[Unfilmed, ...] = ()
    credits: tuple[str, ...] = ()
    cast: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Words somebody says, and when: frames [start, stop) counted within the shot."""

    character: str
    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fade:
    """A change of picture that takes time: `frames` of it, from or to a plain colour.

    `colour` is "black" or "white", or None for a dissolve, in which two shots share the frames.
    """

    frames: int
    colour: Literal["black", "white"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A span of a shot that is made again, with its own seed and words: frames [start, stop) of the shot."""

    start: int
    stop: int
    seed: int
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One camera take.

    `id` is locked like a shooting script's; `scene` groups the shots that share a look; `frames`
    counts frames of the film; `seed` and `continuity` are None where the film's own apply. `heading` is
    that of its scene as the script has it. `enter` is how the picture comes (a fade in, or a dissolve
    from the shot before), `leave` how it goes (a fade out). `take` counts renderings of the same shot.
    `patches` are spans of it that were made again, one after another.
    """

    id: str
    scene: str
    prompt: str
    frames: int
    source: Source
    camera: str | None = None
    seed: int | None = None
    continuity: Continuity | None = None
    heading: str = ""
    lines: tuple[Line, ...] = ()
    enter: Fade | None = None
    leave: Fade | None = None
    take: int = 1
    patches: tuple[Patch, ...] = ()

    @property
    def name(self) -> str:
        """The shot's id, and its take where it is not the first: "12A", "12A_take2" (ids hold no "_")."""
        return self.id if self.take == 1 else f"{self.id}_take{self.take}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotList:
    """All the shots of a film, in order, and what could not be filmed.

    `credits` are the lines that stand under the title on its card; `style` and `negative` say what
    every picture of the film is like, and what it is not.
    """

    title: str | None
    shots: tuple[Shot, ...]
    unfilmed: tuple[Unfilmed, ...] = ()
    credits: tuple[str, ...] = ()
    cast: tuple[Member, ...] = ()
    style: str | None = None
    negative: str | None = None


def check_shots(shots: ShotList) -> ShotList:
    """Return a shot list that may be filmed.

    Raises:
        BadInput: for more than MAX_SHOTS shots, or an id used twice.
    """
    if len(shots.shots) > MAX_SHOTS:
        raise BadInput(f"the script makes {len(shots.shots)} shots; at most {MAX_SHOTS} go into one film")
    lines: dict[str, int] = {}
    for shot in shots.shots:
        if shot.id in lines:
            raise BadInput(f"{shot.source}: shot id {shot.id} is already that of line {lines[shot.id]}")
        lines[shot.id] = shot.source.first
    return shots
