"""Whatever happens to a file's keys, the end is the right model or one sentence, never a wrong model."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import swinkit
from swinkit.errors import ConfigError, WeightsError
from swinkit.tasks.base import Task
from tests.weights.naming import our_name

CONFIG = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4), "img_size": 56}
DIALECTS = ("microsoft", "timm", "torchvision", "huggingface", "openmmlab")
MODEL = swinkit.create("swin_t", 5, **CONFIG)
PIXELS = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    LOGITS = MODEL(PIXELS)

# what a file may do without: these are computed anew
SPARE = "relative_position_index"


def drop(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name != key}


def rename(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {f"{name}_x" if name == key else name: tensor for name, tensor in state.items()}


def transpose(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: t.T.contiguous() if name == key and t.ndim == 2 else t for name, t in state.items()}


def truncate(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: t[: len(t) // 2].clone() if name == key else t for name, t in state.items()}


def flatten(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: t.flatten() if name == key else t for name, t in state.items()}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    dialect=st.sampled_from(DIALECTS),
    harm=st.sampled_from([drop, rename, transpose, truncate, flatten]),
    data=st.data(),
)
def test_one_harmed_tensor(dialect: str, harm, data: st.DataObject) -> None:
    whole = swinkit.to_dialect(MODEL, dialect)
    key = data.draw(st.sampled_from(sorted(whole)))
    harmed = harm(whole, key)
    changed = list(harmed) != list(whole) or harmed[key].shape != whole[key].shape
    if harm is transpose and not changed:
        return  # a square matrix: no shape tells
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pth"
        torch.save(harmed, path)
        if changed and (SPARE not in key or harm is rename):
            check_harmed(path, key)
        else:
            assert answers_alike(swinkit.load(path))


def answers_alike(model: Task) -> bool:
    with torch.no_grad():
        return torch.allclose(model(PIXELS), LOGITS, atol=1e-5)


def check_harmed(path: Path, key: str) -> None:
    """Refused in one sentence; where it is loaded all the same, the report says what is wrong."""
    with pytest.raises(WeightsError) as error:
        print(key, swinkit.load(path).backbone.config)
    assert "\n" not in str(error.value)
    with contextlib.suppress(WeightsError):  # some harm leaves no model to load into
        report = swinkit.load(path, strict=False).load_report
        assert report.missing or report.unexpected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_of_the_file(dialect: str, tmp_path: Path) -> None:
    whole = swinkit.to_dialect(MODEL, dialect)
    for part in (list(whole)[: len(whole) // 2], list(whole)[len(whole) // 2 :]):
        torch.save({name: whole[name] for name in part}, tmp_path / "x.pth")
        with pytest.raises((WeightsError, ConfigError)):
            swinkit.load(tmp_path / "x.pth")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dialect=st.sampled_from(DIALECTS), data=st.data())
def test_a_lost_group(dialect: str, data: st.DataObject) -> None:
    """All names of one beginning, such as a stage; also with a new head, or for the backbone alone."""
    whole = swinkit.to_dialect(MODEL, dialect)
    parts = data.draw(st.sampled_from(sorted(whole))).split(".")
    group = ".".join(parts[: data.draw(st.integers(1, len(parts) - 1))]) + "."
    harmed = {name: tensor for name, tensor in whole.items() if not name.startswith(group)}
    lost = {our_name(name, dialect) for name in whole if name.startswith(group)}
    last_block = all(name.startswith(("layers.0.blocks.1.", "layers.1.blocks.1.")) for name in lost)
    patch_norm = dialect == "microsoft" and group == "patch_embed.norm."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pth"
        torch.save(harmed, path)
        for take in (swinkit.load, lambda p: swinkit.load(p, num_classes=3), swinkit.backbone):
            with contextlib.suppress(WeightsError, ConfigError):
                taken = take(path)
                config = (taken.backbone if isinstance(taken, Task) else taken).config
                same = replace(config, fit="pad", patch_remainder="pad") == MODEL.backbone.config
                assert same or last_block or patch_norm, (group, config)  # what no file can tell
