"""Damage to files that swinkit has written: a flipped bit is found wherever it is."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import swinkit
from swinkit.errors import DataError, SwinkitError, WeightsError
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.weights.containers import read_checkpoint
from tests.conftest import Swin

FLIPS = 13


def flipped(path: Path, bit: int) -> bytes:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def bits(path: Path) -> list[int]:
    """Seeded positions in the body, the first and last byte of it among them."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little") if path.suffix == ".safetensors" else len(content) // 10
    drawn = random.Random(0)
    last = len(content) - 1 if path.suffix == ".safetensors" else len(content) * 9 // 10
    return [8 * begin, 8 * last + 7, *(drawn.randrange(8 * begin, 8 * last) for _ in range(FLIPS - 2))]


@pytest.mark.parametrize("name", ["ours.safetensors", "ms.pth", "tv.safetensors", "timm/model.safetensors"])
def test_every_flipped_bit_of_weights_is_refused(
    name: str, tiny_file: Path, swin: Swin, tmp_path: Path
) -> None:
    out = tmp_path / name
    if name.startswith("ours"):
        out.write_bytes(tiny_file.read_bytes())
    else:
        to = {"ms.pth": "microsoft", "tv.safetensors": "torchvision"}.get(name, "timm")
        assert swin("convert", tiny_file, out.parent if "/" in name else out, "--to", to).code == 0
    read_checkpoint(out)
    damaged = out.with_name(f"damaged{out.suffix}")
    for bit in bits(out):
        damaged.write_bytes(flipped(out, bit))
        with pytest.raises(WeightsError, match=r"damaged"):
            read_checkpoint(damaged)


def test_a_changed_header_is_refused(tiny_file: Path, tmp_path: Path) -> None:
    content = tiny_file.read_bytes()
    assert b"0.485" in content
    (tmp_path / "x.safetensors").write_bytes(content.replace(b"0.485", b"0.484", 1))
    with pytest.raises(WeightsError, match="does not match its checksum"):
        swinkit.load(tmp_path / "x.safetensors")


def test_older_files_without_a_checksum_are_read(tiny_file: Path, tmp_path: Path) -> None:
    with safe_open(tiny_file, framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["swinkit"])["task"] == "classify"
    metadata.pop("swinkit_sha256")
    save_file(load_file(tiny_file), tmp_path / "old.safetensors", metadata)
    model, old = swinkit.load(tiny_file), swinkit.load(tmp_path / "old.safetensors")
    assert all(torch.equal(tensor, old.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_every_flipped_bit_of_a_vocabulary_is_refused(tmp_path: Path) -> None:
    path = Vocabulary(("a", "b"), torch.randn(2, 8), torch.tensor([0.1, 0.2])).save(
        tmp_path / "v.safetensors"
    )
    assert Vocabulary.load(path).names == ("a", "b")
    for bit in bits(path):
        (tmp_path / "w.safetensors").write_bytes(flipped(path, bit))
        with pytest.raises(DataError, match="is damaged"):
            Vocabulary.load(tmp_path / "w.safetensors")


def test_half_precision_and_empty_tensors_have_a_checksum(tmp_path: Path) -> None:
    from swinkit.weights.store import write_file

    tensors = {"a": torch.randn(3).bfloat16(), "b": torch.zeros(0, 3), "c": torch.tensor(1)}
    write_file(tmp_path / "x.safetensors", tensors, {"task": "classify"})
    read = read_checkpoint(tmp_path / "x.safetensors").tensors
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.fixture
def forbidden(tiny_file: Path) -> Iterator[Path]:
    """A folder with weights that this process may not read, whoever runs the tests."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("w.safetensors", "w.pth"):
            (folder / file).write_bytes(tiny_file.read_bytes())
            (folder / file).chmod(0)
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_without_read_permission_is_said_to_be_one(name: str, forbidden: Path) -> None:
    for read in (swinkit.load, Vocabulary.load):
        with pytest.raises(SwinkitError, match=r"(?i)permission denied") as caught:
            read(forbidden / name)
        assert "no such file" not in str(caught.value).lower()
