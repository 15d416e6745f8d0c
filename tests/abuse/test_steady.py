"""One model in eight threads gives the same bits; many files take no more memory than a few."""

from __future__ import annotations

import gc
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import swinkit
from swinkit.results import Classes
from tests.conftest import CLASSES, Swin, make_set

MORE_MEMORY = 16 * 2**20  # bytes by which many files may exceed the first: what allocators keep


@pytest.mark.parametrize("threads", [8])
def test_threads_give_the_same_bits(threads: int, tiny_file: Path, dataset: Path) -> None:
    """Sizes differ, so that layouts are made and evicted while others use them."""
    model = swinkit.load(tiny_file)
    shapes = [(1 + i % 3, 3, 16 + i % 5 * 4, 16 + i % 7 * 2) for i in range(48)]
    batches = [
        torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)
    ]
    paths = [sorted((dataset / "val").rglob("*.png"))[i % 18] for i in range(48)]

    def run(number: int) -> tuple[torch.Tensor, tuple[float, ...]]:
        with torch.no_grad():
            logits = model(batches[number])
        (result,) = model.predict([paths[number]])
        assert isinstance(result, Classes)
        return logits, result.scores

    alone = [run(number) for number in range(48)]
    with ThreadPoolExecutor(threads) as pool:
        together = list(pool.map(run, range(48)))
    for (logits, scores), (expected, expected_scores) in zip(together, alone, strict=True):
        assert torch.equal(logits, expected)
        assert scores == expected_scores


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def growth(folder: Path, photo: Path, model: Path, count: int) -> int:
    """How much more memory `count` files take after the first tenth of them."""
    (folder / "in").mkdir()
    for number in range(count):
        (folder / "in" / f"{number:05d}.png").symlink_to(photo)
    options = {"workers": 0, "device": "cpu", "progress": False, "batch_size": 16}
    results = swinkit.predict(model, folder / "in", json=folder / "r.jsonl", csv=folder / "r.csv", **options)
    done, first = 0, 0
    for _ in results:
        done += 1
        if done == count // 10:
            gc.collect()
            first = resident_bytes()
    assert done == count
    assert len((folder / "r.jsonl").read_text().splitlines()) == count
    gc.collect()
    return resident_bytes() - first


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_is_flat(count: int, tiny_file: Path, dataset: Path, tmp_path: Path) -> None:
    photo = next((dataset / "val").rglob("*.png"))
    more = growth(tmp_path, photo, tiny_file, count)
    print(f"{count} files: {more / 2**20:.1f} MB more than for the first tenth of them")
    assert more < MORE_MEMORY


@pytest.mark.slow
def test_memory_of_checks_is_flat(tmp_path: Path, swin: Swin) -> None:
    """`data check` keeps a digest of each file, not the file."""
    data = make_set(tmp_path / "set", {"train": 20, "val": 4})
    for name in CLASSES:
        for number in range(1000):
            shutil.copyfile(data / "val" / name / "0.png", data / "train" / name / f"x{number}.png")
    swinkit.check_data(tmp_path / "set", progress=False)
    gc.collect()
    before = resident_bytes()
    swinkit.check_data(tmp_path / "set", progress=False)
    gc.collect()
    assert resident_bytes() - before < MORE_MEMORY
