"""All that can be said of a render: every setting, its default, and what it means.

The comments that begin with `#:` are what `docs/configuration.md` and completion in the shell say of a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ModelConf:
    """A model: its family, its weights, and what suits it."""

    #: What messages and the report call the model.
    name: str = "papercut"
    #: Kind of model, which is the code that runs it; skyreels_v2 or wan.
    family: str = "skyreels_v2"
    #: Where the weights are: papercut, a folder, or a repository on the Hugging Face hub.
    weights: str = "papercut"
    #: Commit, tag or branch of a hub repository; null keeps the one a film was begun with, else main.
    revision: str | None = None
    #: Width in pixels of what the model makes, a multiple of model.spatial_stride times model.patch.
    width: int = 256
    #: Height in pixels of what the model makes, a multiple of model.spatial_stride times model.patch.
    height: int = 144
    #: Frames a second that the model makes, such as 16 or 24000/1001.
    fps: str = "16"
    #: Most latent frames that one segment has.
    window: int = 9
    #: Latent frames that neighbouring segments of a chained shot share.
    overlap: int = 3
    #: Latent frames at the beginning of a chained shot that are made on their own first; 0 for none.
    opening: int = 1
    #: Frames that one latent frame holds, but for the first, which holds one.
    temporal_stride: int = 4
    #: Pixels that one latent pixel is wide and high.
    spatial_stride: int = 16
    #: Latent pixels that the network takes together, across and down.
    patch: int = 1
    #: Whether the network is told a noise level for each latent frame, which chain needs, or one for all.
    levels_per_frame: bool = True
    #: Tokens of a prompt that the model is given; what is longer is cut off.
    text_tokens: int = 48
    #: Denoising steps of a segment at full quality.
    steps: int = 20
    #: How closely the prompt is followed, 0 to 100; 1 or less is without guidance and half the work.
    guidance: float = 3.0
    #: Of a model with two networks: how closely the second one follows the prompt.
    guidance_2: float | None = None
    #: Of such a model: the noise, of 1000, below which the second network takes over; null has just one.
    boundary: int | None = None
    #: How much of the steps is spent at high noise; every model has one that suits it.
    shift: float = 3.0
    #: Words on what the model should keep away from, where guidance is above 1.
    negative_prompt: str = ""
    #: Number format the network computes in: float32, bfloat16 or float16.
    dtype: str = "float32"
    #: Frames of a shot by which the model's probe tells what it shows; none where it has no probe.
    looks_at: list[int] = field(default_factory=lambda: [2, 8, 14, 20, 26, 32])
    #: Seconds that one network evaluation takes for each latent frame; for estimates alone.
    evaluation_s_per_latent: float = 0.03
    #: Seconds that decoding a latent frame takes; for estimates alone.
    decode_s_per_latent: float = 0.3


@dataclass
class StoreConf:
    """Where everything is kept: `local`, a folder, or `minio`, a bucket."""

    #: Kind of the store: local (a folder) or minio (a bucket of MinIO or any S3 with conditional writes).
    kind: str = "local"
    #: Folder of a local store: films appear in it by name, everything else in its .longtake.
    root: str = "renders"
    #: Host and port of the S3 server, such as localhost:9000.
    endpoint: str | None = None
    #: Region of the bucket, such as eu-central-1; null asks the server.
    region: str | None = None
    #: Bucket of the store, which must be there.
    bucket: str = "longtake"
    #: What all names in the bucket begin with, such as team/films; empty takes the whole bucket.
    prefix: str = ""
    #: Whether the server speaks HTTPS; false is plain HTTP, for a server on a network of its own.
    secure: bool = True
    #: File with credentials, in the form of ~/.aws/credentials; null takes them from the environment.
    credentials: str | None = None
    #: Minutes that a bucket which does not answer is waited for, before a run ends; it can be gone on with.
    patience_minutes: float = 60.0
    #: Folder where a worker keeps what it made until the bucket has it; null is in the user's cache folder.
    spool: str | None = None
    #: Gigabytes that the spool holds at most.
    spool_gb: float = 8.0


@dataclass
class ClusterConf:
    """What renders: `ray` (actors) or `inline` (this process)."""

    #: What renders: ray (actors in processes of their own) or inline (this process).
    kind: str = "ray"
    #: How many workers; null is one for each GPU, else one for each core as far as memory allows.
    workers: int | None = None
    #: Threads of one worker; part of every key, since other counts give other last bits.
    threads: int = 1
    #: Where the network runs: cpu, cuda, or auto, which is cuda where there is an NVIDIA GPU.
    device: str = "auto"
    #: Address of a running Ray; null takes RAY_ADDRESS, and without it starts one for the run.
    address: str | None = None


@dataclass
class QualityConf:
    """How much work goes into a segment, and into the encoding."""

    #: Share of model.steps that is taken, in percent.
    steps_percent: int = 100
    #: Constant rate factor of the encoder, on H.264's scale: 0 is lossless, 51 the worst.
    crf: int = 16
    #: How long the encoder takes to make the film smaller, from ultrafast to veryslow.
    preset: str = "medium"
    #: Number format shots are decoded in: float32, or bfloat16, which may be quicker and may show bands.
    decode: str = "float32"
    #: Noise, of 1000, at and below which a step is without guidance, and half the work; 0 guides all steps.
    guide_above: int = 0
    #: Share of model.steps, in percent, of the preview that segments begin from; null begins as noise.
    draft_percent: int | None = None
    #: What quality.guide_above was for that preview.
    draft_guide_above: int = 0
    #: Noise that a preview is given before it is made final, of 1000: with less, more of it stays.
    draft_level: int = 600


@dataclass
class ContinuityConf:
    """How the segments of a shot are joined, and how related a scene's shots look."""

    #: How segments of a shot are joined: chain, stagger, weave, cut, or auto, which chooses by the model.
    way: str = "auto"
    #: Latent frames that chained segments share; null is model.overlap.
    overlap: int | None = None
    #: Noise that given latent frames are held at, of 1000.
    context_level: int = 20
    #: Steps that each latent frame is behind the one before it, where way is stagger.
    lag: int = 1
    #: Share of the first noise, 0 to 1, that the shots of a scene have in common.
    scene_noise: float = 0.3
    #: Make one join of the longest chained shot without continuity too, for the report.
    control: bool = False


@dataclass
class OutputConf:
    """How the film is encoded: the model's rate and size and the quality's effort, unless said."""

    #: Frames a second of the film, such as 24 or 24000/1001; null is the model's.
    fps: str | None = None
    #: Width in pixels of the film, together with output.height; null is the model's.
    width: int | None = None
    #: Height in pixels of the film, together with output.width; null is the model's.
    height: int | None = None
    #: How the film is encoded: h264, hevc or av1.
    codec: str = "h264"
    #: Constant rate factor on the codec's own scale; null follows quality.crf.
    crf: int | None = None
    #: Effort of the encoder, from ultrafast to veryslow; null is quality.preset.
    preset: str | None = None
    #: Where the script has a title: a card with it before the film, and an end card behind it.
    titles: bool = False


@dataclass
class ScriptConf:
    """How the script is read, and what is true of the whole film."""

    #: Kind of the script, such as fountain or prose; null goes by its file's ending.
    format: str | None = None
    #: Words on how every picture of the film looks, in place of the script's own.
    style: str | None = None
    #: Words on what no picture of the film should show, in place of the script's own.
    negative: str | None = None


@dataclass
class LimitsConf:
    """When a run gives up on what does not end."""

    #: Minutes that one attempt at a task may take, before its worker is replaced; null lets it run.
    task_minutes: float | None = 120.0
    #: Minutes in which nothing is finished, before a run ends; it can be gone on with.
    stall_minutes: float | None = 240.0
    #: Hours that a run may take, before it ends; it can be gone on with.
    hours: float | None = None


@dataclass
class FarmConf:
    """Everything that can be said on the command line."""

    #: Name of the film and of its folder; made from the script's title, else its file's name, unless said.
    film: str | None = None
    #: Seed of all noise, where a shot has none of its own; another number gives another film.
    seed: int = 1
    #: Ask before a render that is estimated to take longer than so many minutes; null never asks.
    ask_above_minutes: float | None = 120.0
    script: ScriptConf = field(default_factory=ScriptConf)
    model: ModelConf = field(default_factory=ModelConf)
    store: StoreConf = field(default_factory=StoreConf)
    cluster: ClusterConf = field(default_factory=ClusterConf)
    quality: QualityConf = field(default_factory=QualityConf)
    continuity: ContinuityConf = field(default_factory=ContinuityConf)
    output: OutputConf = field(default_factory=OutputConf)
    limits: LimitsConf = field(default_factory=LimitsConf)
