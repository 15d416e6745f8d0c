"""Other ecosystems' models, built by their own code: read, answered alike, written back bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

import swinkit
from swinkit.errors import ConfigError, WeightsError
from swinkit.tasks.base import Task
from swinkit.weights.writing import TARGETS
from tests.parity.test_peers import stirred

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


class Peer(NamedTuple):
    dialect: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    logits: Callable[[Any], Tensor] = lambda out: out


def _timm(**more: Any) -> nn.Module:
    settings = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (2, 2, 4, 4), "num_classes": 9}
    return timm.create_model("swin_tiny_patch4_window7_224", **settings | more)


def _torchvision() -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 16, [2, 2, 2], [2, 2, 4], [7, 7], num_classes=9)


def _torchvision_3d() -> nn.Module:
    return SwinTransformer3d([2, 4, 4], 16, [2, 2], [2, 2], [4, 5, 5], num_classes=9)


def _transformers(**more: Any) -> nn.Module:
    settings = {"embed_dim": 16, "depths": [2, 2, 2], "num_heads": [2, 2, 4], "num_labels": 9}
    config = transformers.SwinConfig(**settings | {"image_size": 112} | more)
    return transformers.SwinForImageClassification(config)


PEERS = {
    "timm": Peer("timm", _timm, (2, 3, 224, 224)),
    "timm with small grids": Peer("timm", lambda: _timm(img_size=96, window_size=12), (2, 3, 96, 96)),
    "torchvision": Peer("torchvision", _torchvision, (2, 3, 100, 76)),
    "torchvision video": Peer("torchvision", _torchvision_3d, (1, 3, 8, 56, 60)),
    "transformers": Peer("huggingface", _transformers, (2, 3, 112, 112), lambda out: out.logits),
    "transformers with position": Peer(
        "huggingface",
        lambda: _transformers(use_absolute_embeddings=True, qkv_bias=False),
        (2, 3, 112, 112),
        lambda out: out.logits,
    ),
}


def pixels(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def own_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("name", PEERS)
def test_theirs_read_and_written_back(name: str, tmp_path: Path) -> None:
    there_and_back(PEERS[name], tmp_path)


def there_and_back(peer: Peer, folder: Path) -> Task:
    """Their weights give their logits, all of them are used, and written back they are the same bits."""
    theirs = stirred(peer.build())
    torch.save(own_state(theirs), folder / "theirs.pth")
    ours = swinkit.load(folder / "theirs.pth")
    x = pixels(peer.shape)
    with torch.no_grad():
        expected = peer.logits(theirs(x))
        assert expected.std() > 0.1
        torch.testing.assert_close(ours(x), expected, **CLOSE)
    report = ours.load_report
    assert set(report.loaded) == set(ours.state_dict())
    assert report.missing == report.unexpected == report.initialised == report.resized == ()
    assert bool(report.converted) == (peer.dialect == "huggingface")

    again = peer.build()
    state = swinkit.to_dialect(ours, peer.dialect)
    if peer.dialect == "huggingface":  # in memory it spells otherwise than on disk
        state = on_disk_to_memory(state, theirs)
    again.load_state_dict(state)  # strict: all of it, and nothing else
    for key, tensor in own_state(theirs).items():
        assert torch.equal(again.state_dict()[key], tensor), key
    return ours


def on_disk_to_memory(state: dict[str, Tensor], theirs: nn.Module) -> dict[str, Tensor]:
    """transformers' own reader does the renaming."""
    with tempfile.TemporaryDirectory() as folder:
        theirs.config.save_pretrained(folder)
        save_file(
            {k: v.contiguous() for k, v in state.items()}, f"{folder}/model.safetensors", {"format": "pt"}
        )
        model, info = type(theirs).from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    return model.state_dict()


def test_transformers_on_disk_and_in_memory(tmp_path: Path) -> None:
    theirs = stirred(_transformers(id2label={i: f"thing {i}" for i in range(9)}))
    theirs.save_pretrained(tmp_path / "folder")
    torch.save(theirs.state_dict(), tmp_path / "memory.bin")
    folder, memory = swinkit.load(tmp_path / "folder"), swinkit.load(tmp_path / "memory.bin")
    assert folder.classes[3] == "thing 3"
    assert memory.classes[3] == "3"
    for name, tensor in folder.state_dict().items():
        assert torch.equal(tensor, memory.state_dict()[name])


def test_transformers_sharded(tmp_path: Path) -> None:
    theirs = stirred(_transformers())
    theirs.save_pretrained(tmp_path, max_shard_size="50KB")
    index = tmp_path / "model.safetensors.index.json"
    assert index.exists()
    x = pixels((1, 3, 112, 112))
    with torch.no_grad():
        for path in (tmp_path, index):
            torch.testing.assert_close(swinkit.load(path)(x), theirs(x).logits, **CLOSE)
    next(iter(sorted(tmp_path.glob("*.safetensors")))).unlink()
    with pytest.raises(WeightsError, match=r"is missing, though .* names it"):
        swinkit.load(tmp_path)


def test_transformers_backbone(tmp_path: Path) -> None:
    config = transformers.SwinConfig(
        embed_dim=16, depths=[2, 2, 2], num_heads=[2, 2, 4], out_features=["stage1", "stage2", "stage3"]
    )
    theirs = stirred(transformers.SwinBackbone(config))
    torch.save(theirs.state_dict(), tmp_path / "backbone.pth")
    net = swinkit.backbone(tmp_path / "backbone.pth")
    x = pixels((1, 3, 100, 76))
    with torch.no_grad():
        for ours, expected in zip(net(x), theirs(x).feature_maps, strict=True):
            torch.testing.assert_close(ours, expected, **CLOSE)
    assert set(net.load_report.loaded) == set(net.state_dict())
    with pytest.raises(WeightsError, match="without a classifier: give num_classes"):
        swinkit.load(tmp_path / "backbone.pth")
    state = on_disk_to_memory(swinkit.to_dialect(net, "huggingface"), theirs)
    for key, tensor in theirs.state_dict().items():
        if not key.startswith("swin.layernorm."):  # there, but never used
            assert torch.equal(state[key], tensor), key


def test_timm_features_only(tmp_path: Path) -> None:
    theirs = stirred(_timm(features_only=True))
    torch.save(theirs.state_dict(), tmp_path / "features.pth")
    net = swinkit.backbone(tmp_path / "features.pth", norms=False, fit="pad")
    x = pixels((1, 3, 224, 224))
    with torch.no_grad():
        for ours, expected in zip(net(x), theirs(x), strict=True):
            torch.testing.assert_close(ours, expected.movedim(-1, 1), **CLOSE)


def published_timm(word: str, size: int = 224) -> Peer:
    name = f"swin_{word}_patch4_window{size // 32}_{size}"
    return Peer("timm", lambda: timm.create_model(name), (1, 3, size, size))


def published_torchvision(name: str) -> Peer:
    rank = 3 if name.startswith("swin3d") else 2
    shape = (1, 3, 16, 224, 224) if rank == 3 else (1, 3, 224, 224)
    return Peer("torchvision", lambda: torchvision.models.get_model(name), shape)


def published_transformers(name: str) -> Peer:
    config = swinkit.create(name, 1).backbone.config
    size = config.input_size[-1]
    settings = {"embed_dim": config.embed_dim, "depths": list(config.depths)}
    settings |= {"num_heads": list(config.num_heads), "image_size": size, "window_size": size // 32}
    settings |= {"num_labels": 1000}
    build = PEERS["transformers"].build
    return Peer("huggingface", lambda: build(**settings), (1, 3, size, size), lambda out: out.logits)


WORDS = {"swin_t": "tiny", "swin_s": "small", "swin_b": "base", "swin_l": "large"}
PUBLISHED = {
    **{f"timm {name}": (name, published_timm(word)) for name, word in WORDS.items()},
    **{
        f"timm {name}_384": (f"{name}_384", published_timm(WORDS[name], 384)) for name in ("swin_b", "swin_l")
    },
    **{f"torchvision {name}": (name, published_torchvision(name)) for name in ("swin_t", "swin_s", "swin_b")},
    **{f"torchvision swin3d_{x}": (f"swin3d_{x}", published_torchvision(f"swin3d_{x}")) for x in "tsb"},
    **{
        f"transformers {name}{more}": (f"{name}{more}", published_transformers(f"{name}{more}"))
        for name in WORDS
        for more in ("", "_384")
    },
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(key, marks=() if key == "timm swin_t" else pytest.mark.slow) for key in PUBLISHED],
)
def test_published_shapes(name: str, tmp_path: Path) -> None:
    variant, peer = PUBLISHED[name]
    ours = there_and_back(peer, tmp_path)
    expected = swinkit.create(variant).backbone.config.to_dict()
    told = ours.backbone.config.to_dict()
    differ = {key for key in expected if told[key] != expected[key]}
    rules = {"timm": {"fit", "patch_remainder"}, "torchvision": {"patch_remainder"}}.get(peer.dialect, set())
    assert differ <= {"prefix_index", "img_size"} if ours.backbone.config.rank == 3 else differ == rules


@pytest.mark.parametrize("dialect", TARGETS)
def test_ours_through_each_dialect(dialect: str, tmp_path: Path) -> None:
    config = {"embed_dim": 16, "depths": (2, 2, 2), "num_heads": (2, 2, 4), "img_size": 112}
    ours = swinkit.create("swin_t", 5, **config)
    torch.save(swinkit.to_dialect(ours, dialect), tmp_path / "x.pt")
    again = swinkit.load(tmp_path / "x.pt")
    rules = {
        "timm": {"fit": "roll_pad", "patch_remainder": "drop"},
        "torchvision": {"patch_remainder": "drop"},
    }
    assert again.backbone.config == replace(ours.backbone.config, **rules.get(dialect, {}))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("settings", "dialect", "fault"),
    [
        ({"window": (7, 7, 3), "img_size": 224}, "torchvision", "at 224×224 its windows are"),
        ({"window": (7, 7, 3), "img_size": 224}, "timm", "at 224×224 its windows are"),
        ({"absolute_position": True}, "timm", "no absolute position"),
        ({"patch_norm": False}, "torchvision", "always normalises patches"),
        ({"qkv_bias": False}, "timm", "qkv has a bias"),
        ({"qk_scale": 0.1}, "huggingface", "scaled by"),
        ({"fit": "pad_shift"}, "torchvision", "computes fit='pad', not 'pad_shift'"),
        ({"window": (7, 5)}, "huggingface", "windows are square"),
        ({"patch": (4, 2)}, "huggingface", "patches are square"),
        ({"img_size": 56, "window": ((7, 7),) * 3}, "huggingface", "at 56×56 its windows are .*None"),
        ({"img_size": 56, "window": ((7, 7),) * 3}, "timm", r"at 56×56 .*\(4, 4\)"),
        ({"img_size": 56, "window": ((7, 7),) * 3}, "microsoft", r"at 56×56 .*\(4, 4\)"),
        ({}, "tim", "did you mean 'timm'"),
    ],
)
def test_what_a_dialect_cannot_say(settings: dict[str, Any], dialect: str, fault: str) -> None:
    config = {"embed_dim": 16, "depths": (1, 1, 1), "num_heads": (2, 2, 4), "img_size": 112}
    model = swinkit.create("swin_t", 5, **config | settings)
    with pytest.raises(ConfigError, match=fault):
        swinkit.to_dialect(model, dialect)


def test_video_goes_to_no_image_library() -> None:
    model = swinkit.create("swin3d_t", 5, embed_dim=16, depths=(1, 1), num_heads=(2, 2))
    with pytest.raises(ConfigError, match="takes no video"):
        swinkit.to_dialect(model, "timm")
    assert "cls_head.fc_cls.weight" in swinkit.to_dialect(model, "microsoft")
