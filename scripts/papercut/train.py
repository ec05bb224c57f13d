"""Train papercut from nothing. The stages, in order:

    train.py autoencoder            crops of frames, then of clips
    train.py text                   what captions name
    train.py bank --kind frames     encode single frames
    train.py transformer --stage frames
    train.py bank --kind clips      encode clips (may run beside the stage before)
    train.py transformer --stage takes      a first frame alone, and windows given what was before
    train.py export                 write the diffusers folder that `farm` ships

Every stage is seeded, logged as JSON lines, checkpointed, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import together
from farm.models.heap import keep_heap


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/papercut"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    stages = parser.add_subparsers(dest="command", required=True)
    coder = stages.add_parser("autoencoder")
    coder.add_argument("--frame-steps", type=int, default=2400)
    coder.add_argument("--clip-steps", type=int, default=1600)
    coder.add_argument("--base", type=Path, help="start from this autoencoder's weights")
    coder.add_argument("--decoder-only", action="store_true", help="so that what was trained stays good")
    coder.add_argument("--clips", type=int, default=1600, help="clips to draw and train on")
    text = stages.add_parser("text")
    text.add_argument("--steps", type=int, default=1000)
    text.add_argument("--batch", type=int, default=128)
    bank = stages.add_parser("bank")
    bank.add_argument("--kind", choices=["frames", "clips"], required=True)
    bank.add_argument("--shards", type=int, required=True)
    bank.add_argument("--size", type=int, default=100)
    former = stages.add_parser("transformer")
    former.add_argument("--stage", choices=["frames", "takes"], required=True)
    former.add_argument("--steps", type=int, required=True)
    former.add_argument("--batch", type=int, required=True)
    former.add_argument("--peak", type=float, default=1e-3)
    former.add_argument("--base", type=Path, help="start from this transformer's weights")
    export = stages.add_parser("export")
    export.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "farm/models/papercut")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    together.start()
    keep_heap()
    if args.command == "autoencoder":
        import autoencoder

        autoencoder.train(
            args.work,
            frame_steps=args.frame_steps,
            clip_steps=args.clip_steps,
            seed=args.seed,
            base=args.base,
            decoder_only=args.decoder_only,
            clips=args.clips,
        )
    elif args.command == "text":
        import text as reader

        reader.train(args.work, steps=args.steps, batch=args.batch, seed=args.seed)
    elif args.command == "bank":
        import latents

        latents.make(args.work, kind=args.kind, shards=args.shards, size=args.size, seed=args.seed)
    elif args.command == "transformer":
        import transformer

        transformer.train(
            args.work,
            stage=args.stage,
            steps=args.steps,
            batch=args.batch,
            peak=args.peak,
            seed=args.seed,
            base=args.base,
        )
    else:
        import export as exporter

        exporter.export(args.work, args.to)
    together.stop()


if __name__ == "__main__":
    main()
