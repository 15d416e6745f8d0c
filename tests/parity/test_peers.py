"""Ours equals timm, torchvision and transformers, on random weights that leave no parameter idle."""

import re

import pytest
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
VARIANTS = {
    "t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "b": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
}
TINY = {"embed_dim": 8, "depths": (2, 2, 2), "num_heads": (2, 4, 8)}
SIZES = ["t", pytest.param("s", marks=pytest.mark.slow), pytest.param("b", marks=pytest.mark.slow)]

# their names -> ours; the first pattern that matches counts
TORCHVISION = [
    (r"features\.0\.0\.(.*)", r"patch_embed.proj.\1"),
    (r"features\.0\.2\.(.*)", r"patch_embed.norm.\1"),
    (r"features\.(\d*[13579])\.(.*)", lambda m: f"layers.{int(m[1]) // 2}.blocks.{m[2]}"),
    (r"features\.(\d+)\.(.*)", lambda m: f"layers.{int(m[1]) // 2 - 1}.downsample.{m[2]}"),
]
TORCHVISION_3D = [
    (r"features\.(\d*[02468])\.(.*)", lambda m: f"layers.{int(m[1]) // 2}.blocks.{m[2]}"),
    (r"features\.(\d+)\.(.*)", lambda m: f"layers.{int(m[1]) // 2}.downsample.{m[2]}"),
]
TIMM = [
    (r"layers\.(\d)\.downsample\.(.*)", lambda m: f"layers.{int(m[1]) - 1}.downsample.{m[2]}"),
    (r"head\.fc\.(.*)", r"head.\1"),
]
TRANSFORMERS = {
    "swin.": "", "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.norm": "patch_embed.norm", "encoder.": "", "layernorm_before": "norm1",
    "layernorm_after": "norm2", "attention.relative_position_bias.": "attn.", "attention.o_proj": "attn.proj",
    "attention.": "attn.", "layernorm.": "norm.", "classifier.": "head.",
    "hidden_states_norms.stage": "norms.",
}  # fmt: skip


@torch.no_grad()
def stirred(model: nn.Module) -> nn.Module:
    """Leave no parameter at a value that hides a mistake: norms off 1 and 0, biases, tables of order 1."""
    generator = torch.Generator().manual_seed(0)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.ndim == 1:
            p.add_(noise, alpha=0.1)
        else:
            p.copy_(noise if "table" in name else noise / p[0].numel() ** 0.5)
    return model.eval()


def renamed(state: dict[str, Tensor], rules: list) -> dict[str, Tensor]:
    ours = {}
    for key, value in state.items():
        if key.endswith("relative_position_index"):
            continue
        for pattern, name in rules:
            if match := re.fullmatch(pattern, key):
                key = name(match) if callable(name) else match.expand(name)
                break
        ours[key.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")] = value
    return ours


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for key, value in state.items():
        if ".k_proj." in key or ".v_proj." in key:
            continue
        if ".q_proj." in key:
            value = torch.cat([state[key.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"])
            key = key.replace("q_proj", "qkv")
        for theirs, name in TRANSFORMERS.items():
            key = key.replace(theirs, name)
        key = re.sub(r"norms\.(\d)", lambda m: f"norm{int(m[1]) - 1}", key)
        ours[key] = value
    return ours


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On shared cores a second thread mostly waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Classifier(nn.Module):
    """Backbone, mean over all tokens, linear head."""

    def __init__(self, config: SwinConfig, classes: int) -> None:
        super().__init__()
        self.backbone = SwinBackbone(config, out_indices=(config.stages - 1,))
        self.head = nn.Linear(self.backbone.features[-1].channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        (feature,) = self.backbone(x)
        return self.head(feature.flatten(2).mean(-1))


def classifier(config: SwinConfig, state: dict[str, Tensor]) -> Classifier:
    model = Classifier(config, state["head.bias"].numel())
    model.load_state_dict({k if k.startswith("head.") else f"backbone.{k}": v for k, v in state.items()})
    return model.eval()


def pixels(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_same_logits(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    expected = theirs(x)
    assert expected.std() > 0.1  # logits that say something
    for backend in ("eager", "sdpa"):
        ours.backbone.set_attention(backend)
        torch.testing.assert_close(ours(x), expected, **CLOSE)


@pytest.mark.parametrize("size", SIZES)
def test_timm_at_its_trained_size(size: str) -> None:
    word = {"t": "tiny", "s": "small", "b": "base"}[size]
    theirs = stirred(timm.create_model(f"swin_{word}_patch4_window7_224", num_classes=40))
    ours = classifier(SwinConfig(**VARIANTS[size], img_size=224), renamed(theirs.state_dict(), TIMM))
    assert_same_logits(ours, theirs, pixels(1, 3, 224, 224))


@pytest.mark.parametrize("size", SIZES)
def test_torchvision(size: str) -> None:
    theirs = stirred(getattr(torchvision.models, f"swin_{size}")(num_classes=40))
    ours = classifier(SwinConfig(**VARIANTS[size]), renamed(theirs.state_dict(), TORCHVISION))
    assert_same_logits(ours, theirs, pixels(1, 3, 224, 224))
    if size == "t":
        # torchvision cuts what does not fill a patch; ours pads it: compare from whole patches on
        assert_same_logits(ours, theirs, pixels(1, 3, 252, 188))


@pytest.mark.parametrize("shape", [(36, 36), (20, 12), (52, 8), (4, 100), (4, 4)])
def test_torchvision_pads_at_any_size(shape: tuple[int, int]) -> None:
    theirs = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[2, 2, 2], num_heads=[2, 4, 8], window_size=[3, 4],
        num_classes=10,
    )  # fmt: skip
    config = SwinConfig(**TINY, window=(3, 4), fit="pad")
    ours = classifier(config, renamed(stirred(theirs).state_dict(), TORCHVISION))
    assert_same_logits(ours, theirs, pixels(2, 3, *shape))


@pytest.mark.parametrize(
    ("prefix_index", "shape"),
    [
        (False, (8, 48, 48)),
        (False, (7, 50, 62)),  # patches and windows that are not filled
        (False, (2, 49, 51)),  # shorter than a window in time, where the reference's index is right
        (True, (8, 40, 9)),  # smaller than a window in space too
    ],
)
def test_torchvision_video_clamps(prefix_index: bool, shape: tuple[int, ...]) -> None:
    theirs = SwinTransformer3d(
        patch_size=[2, 4, 4], embed_dim=8, depths=[2, 2, 2], num_heads=[2, 4, 8], window_size=[2, 3, 3],
        num_classes=10,
    )  # fmt: skip
    config = SwinConfig(**TINY, window=(2, 3, 3), patch=(2, 4, 4), fit="clamp", prefix_index=prefix_index)
    ours = classifier(config, renamed(stirred(theirs).state_dict(), TORCHVISION_3D))
    assert_same_logits(ours, theirs, pixels(2, 3, *shape))


def transformers_config(**more: object) -> transformers.SwinConfig:
    numbers = {"image_size": 48, "patch_size": 4, "window_size": 3}
    return transformers.SwinConfig(**TINY, **(numbers | more))


@pytest.mark.parametrize("shape", [(96, 96), (144, 96)])
def test_transformers_classifier_at_multiples(shape: tuple[int, int]) -> None:
    theirs = stirred(transformers.SwinForImageClassification(transformers_config(num_labels=10)))
    ours = classifier(SwinConfig(**TINY, window=3), from_transformers(theirs.state_dict()))
    x = pixels(2, 3, *shape)
    assert_same_logits(ours, lambda x: theirs(x).logits, x)


def test_transformers_model_and_its_stages() -> None:
    theirs = stirred(transformers.SwinModel(transformers_config()))
    ours = SwinBackbone(SwinConfig(**TINY, window=3)).eval()
    ours.load_state_dict(from_transformers(theirs.state_dict()))
    x = pixels(2, 3, 48, 48)
    with torch.no_grad():
        expected, maps = theirs(x, output_hidden_states=True), ours(x)
    torch.testing.assert_close(maps[-1].flatten(2).mT, expected.last_hidden_state, **CLOSE)
    torch.testing.assert_close(maps[-1].flatten(2).mean(-1), expected.pooler_output, **CLOSE)


@pytest.mark.parametrize("shape", [(48, 48), (45, 71), (20, 90)])
def test_transformers_backbone_shifts_everywhere(shape: tuple[int, int]) -> None:
    stages = ["stage1", "stage2", "stage3"]
    theirs = stirred(transformers.SwinBackbone(transformers_config(out_features=stages)))
    ours = SwinBackbone(SwinConfig(**TINY, window=3, fit="pad_shift"), norms="each").eval()
    state = from_transformers(theirs.state_dict())
    ours.load_state_dict({k: v for k, v in state.items() if not k.startswith("norm.")})
    x = pixels(2, 3, *shape)
    with torch.no_grad():
        expected = theirs(x).feature_maps
        for backend in ("eager", "sdpa"):
            ours.set_attention(backend)
            for got, feature in zip(ours(x), expected, strict=True):
                torch.testing.assert_close(got, feature, **CLOSE)
