"""Tensors to bytes and back, as safetensors, so that nothing is ever unpickled from a store."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from farm.errors import StoreError

_NAME = "data"


def pack(tensor: Tensor) -> bytes:
    """Write one tensor; no metadata, since several keys come out in any order."""
    return save({_NAME: tensor.detach().cpu().contiguous()})


def unpack(data: bytes) -> Tensor:
    """Read a tensor that `pack` wrote. Raises StoreError for anything else."""
    try:
        return load(data)[_NAME]
    except (SafetensorError, KeyError) as error:
        raise StoreError("an object in the store is no tensor of Longtake's") from error
