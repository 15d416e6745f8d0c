"""Numbers in the header of our files that no model can have: one sentence, at once, and no memory taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

import swinkit
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError, SwinkitError, WeightsError
from tests.conftest import Swin, read_file

FAULTS: list[tuple[str, Any]] = [
    *((f"config.{name}", 2**40) for name in ("embed_dim", "in_chans", "patch", "img_size")),
    *((f"config.{name}", 10**30) for name in ("embed_dim", "depths", "num_heads", "img_size")),
    *(("config.embed_dim", value) for value in (True, "16", [16], None, -1, 0)),
    *(("config.mlp_ratio", value) for value in (1e308, 1e-308, float("nan"))),
    *((f"config.{name}", value) for name in ("drop", "attn_drop", "drop_path") for value in (-1, 1e308)),
    ("config.depths", [2**31, 2]),
    ("config.depths", [1] * 1000),
    ("config.window", [[2**40, 4], [4, 4]]),
    ("config.init_std", 1e308),
    ("settings.head_drop", -1),
    ("settings.head_drop", 1e308),
    ("settings.head_drop", True),
    *((f"preprocessing.{name}", 2**40) for name in ("size", "resize_to", "longest", "channels")),
    *((f"preprocessing.{name}", 1e-300) for name in ("size", "resize_to", "longest", "crop")),
    *((f"preprocessing.{name}", "16") for name in ("size", "crop", "resize_to")),
    *((f"preprocessing.{name}", True) for name in ("size", "crop", "channels")),
    ("preprocessing.mean", [1e308, 0, 0]),
    ("preprocessing.std", [1e-300, 1, 1]),
    ("preprocessing.std", [1e308, 1, 1]),
    ("preprocessing.dense", {"short": 2**40}),
    ("preprocessing.clip", {"frames": 2**40}),
]


def changed(path: Path, target: Path, key: str, value: Any) -> Path:
    """A copy of one of our files with another value in its header."""
    tensors, header = read_file(path)
    group, name = key.split(".")
    header[group][name] = value
    save_file(tensors, target, {"format": "pt", "swinkit": json.dumps(header)})
    return target


@pytest.mark.parametrize(("key", "value"), FAULTS)
@pytest.mark.parametrize("strict", [True, False])
def test_absurd_numbers(tiny_file: Path, tmp_path: Path, key: str, value: Any, strict: bool) -> None:
    path = changed(tiny_file, tmp_path / "a.safetensors", key, value)
    with pytest.raises(SwinkitError) as error:
        swinkit.load(path, strict=strict)
    assert len(str(error.value)) < 500
    if key != "settings.head_drop":
        assert isinstance(error.value, WeightsError)
        assert str(path) in str(error.value)


def test_of_backbones_and_commands(tiny_file: Path, tmp_path: Path, swin: Swin) -> None:
    path = changed(tiny_file, tmp_path / "a.safetensors", "config.embed_dim", 2**40)
    with pytest.raises(WeightsError, match="embed_dim"):
        swinkit.backbone(path)
    for options in (("predict", path, __file__), ("inspect", path)):
        code, out, err = swin(*options)
        assert (code > 0, "Traceback" in out + err, "embed_dim" in err) == (True, False, True)


def test_numbers_of_users() -> None:
    for options in ({"embed_dim": 2**40}, {"mlp_ratio": 1e308}, {"depths": (2**31,) * 4}, {"patch": 2**40}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            swinkit.create("swin_pico", 3, **options)
    # about three times the largest published Swin can be described
    assert SwinConfig(embed_dim=1024, depths=(2, 2, 42, 4), num_heads=(16, 32, 64, 128)).stages == 4
