"""Write the trained parts as the diffusers folder that `farm` ships: fp16 safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from transformer import make_transformer

LIMIT = 24 * 2**20


def export(work: Path, target: Path) -> None:
    """Export the averaged weights of the last stage there is; refuses to pass 24 MB."""
    stage = next(path for name in ("takes", "frames") if (path := work / f"transformer_{name}.pt").exists())
    state = torch.load(stage, weights_only=True)
    vae = AutoencoderKLWan.from_pretrained(work / "autoencoder")
    transformer = make_transformer(vae.config.z_dim)
    averaged = {
        name.removeprefix("module."): value
        for name, value in state["averaged"].items()
        if name.startswith("module.")
    }
    transformer.load_state_dict(averaged)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    transformer.half().save_pretrained(target / "transformer")
    UMT5EncoderModel.from_pretrained(work / "text_encoder").half().save_pretrained(target / "text_encoder")
    PreTrainedTokenizerFast.from_pretrained(work / "tokenizer").save_pretrained(target / "tokenizer")
    vae.half().save_pretrained(target / "vae")
    # diffusers writes down which folder of this machine a part came from.
    config = json.loads((target / "vae" / "config.json").read_text())
    config.pop("_name_or_path", None)
    (target / "vae" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if (work / "probe").is_dir():
        shutil.copytree(work / "probe", target / "probe")
    UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ).save_pretrained(target / "scheduler")
    index = {
        "_class_name": "SkyReelsV2DiffusionForcingPipeline",
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["diffusers", "SkyReelsV2Transformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }
    (target / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{stage.name}, step {state['step']} -> {target}: {size / 2**20:.1f} MB")
    if size > LIMIT:
        raise SystemExit(f"the weights have {size / 2**20:.1f} MB; at most 24 are shipped")
