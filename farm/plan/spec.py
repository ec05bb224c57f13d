"""What the plan must know of a model and of how to render: plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from farm.errors import BadInput
from farm.script.model import Continuity


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySpec:
    """What a family of video models can do.

    `window` and `overlap` count latent frames; `levels_per_frame` says whether the network takes a
    noise level for each latent frame, which `chain` needs. A model with an `opening` draws so many
    latent frames at a shot's beginning on their own, and everything else from them. `looks_at` numbers
    the frames of a shot by which the model can tell whether it shows what its prompt says; none if it
    cannot. The network takes `patch` by `patch` latent pixels together.
    """

    name: str
    temporal_stride: int
    spatial_stride: int
    window: int
    overlap: int
    text_tokens: int
    levels_per_frame: bool
    rate: Fraction
    looks_at: tuple[int, ...] = ()
    opening: int = 0
    patch: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.overlap <= (self.window + 1) // 3:
            raise BadInput(
                f"continuity.overlap={self.overlap} does not fit model.window={self.window}: "
                f"give 1 to {(self.window + 1) // 3} latent frames"
            )
        if not 0 <= self.opening <= self.overlap:
            raise BadInput(
                f"model.opening={self.opening} cannot be used: give 0 to {self.overlap} latent frames, "
                "no more than neighbouring segments share"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Which weights: where they come from, the identity that goes into every key, and whose they are."""

    source: str
    identity: str
    resolved: bool = True
    family: str = "skyreels_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A preview that segments are made final from: its steps, and the noise it is given first, of 1000.

    `guide_above` is that of its own denoising (see Sampling).
    """

    steps: int
    level: int
    guide_above: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a segment is denoised, at which size.

    `context_level` is the level given columns are held at, of 1000; at and below the level `guide_above`
    there is no guidance. `lag` is by how many steps a staggered latent frame is behind the one before it.
    A model with two networks has a `boundary`, the level, of 1000, below which the second one takes over,
    guided by `guidance_2`. Without a `draft` segments begin as noise.
    """

    width: int
    height: int
    steps: int
    guidance: float
    shift: float
    negative_prompt: str
    context_level: int
    scene_noise: float
    dtype: str
    threads: int
    guide_above: int = 0
    draft: Draft | None = None
    lag: int = 1
    guidance_2: float | None = None
    boundary: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How the film is encoded: its size and rate may differ from those it is rendered at."""

    width: int
    height: int
    rate: Fraction
    codec: str
    crf: int
    preset: str
    threads: int
    decode_dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Configured figures for the estimate, of one worker: a network evaluation, a decoded latent."""

    evaluation_s_per_latent: float
    decode_s_per_latent: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a plan is made from, besides the script."""

    family: FamilySpec
    weights: Weights
    sampling: Sampling
    output: Output
    cost: Cost
    seed: int
    continuity: Continuity
    control: bool = False
    titles: bool = False
