"""Train in several processes at once: `torchrun --nproc-per-node 2 scripts/papercut/train.py …`.

On a CPU one process a core, each on its share of the batch: most operations of the transformer are too
small to be worth sharing out among threads.
"""

from __future__ import annotations

import os

import torch
from torch import distributed, nn


def start() -> None:
    """Join the processes that torchrun started, if it did."""
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait() -> None:
    """Wait until every process is here."""
    if distributed.is_initialized():
        distributed.barrier()


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by the mean over the processes."""
    if not distributed.is_initialized():
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    first = 0
    for gradient in gradients:
        gradient.copy_(flat[first : first + gradient.numel()].view_as(gradient))
        first += gradient.numel()


def stop() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
