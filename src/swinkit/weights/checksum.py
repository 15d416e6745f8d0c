"""A checksum in our safetensors files, so that damage to tensors or metadata is found when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

CHECKSUM = "swinkit_sha256"


def with_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata with the checksum of CPU tensors and of all other metadata."""
    return {**metadata, CHECKSUM: _checksum(tensors, metadata)}


def is_intact(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    """Whether the checksum holds; also true for files without one, of older releases and of others."""
    return CHECKSUM not in metadata or metadata[CHECKSUM] == _checksum(tensors, metadata)


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for key in sorted(metadata):
        if key != CHECKSUM:
            _add_text(digest, key)
            _add_text(digest, metadata[key])
    for name in sorted(tensors):
        tensor = tensors[name]
        _add_text(digest, f"{name} {tensor.dtype} {tuple(tensor.shape)}")
        if tensor.numel():
            content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            digest.update(content.data)
    return digest.hexdigest()


def _add_text(digest: hashlib._Hash, text: str) -> None:
    """Add a text with its length before it, so that no two lists of texts are alike."""
    content = text.encode("utf-8", "surrogatepass")
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)
