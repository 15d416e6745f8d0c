"""UPerNet and SSformer whole, from the references' own files: logits, losses, gradients, sliding windows."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import swinkit
from swinkit.errors import ConfigError
from swinkit.heads.dense import DenseHead, resize
from swinkit.heads.losses import cross_entropy
from swinkit.heads.plain import FCNHead, SSformerHead
from swinkit.heads.pyramid import UPerHead
from swinkit.tasks.sliding_window import slide, windows
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}
KINDS: dict[str, type[DenseHead]] = {"upernet": UPerHead, "ssformer": SSformerHead}


class Whole(nn.Module):
    """Backbone, head and auxiliary head with the reference's weights."""

    def __init__(self, name: str, golden: Golden, folder: Path) -> None:
        super().__init__()
        path = folder / "reference.pth"
        torch.save({"state_dict": golden.state}, path)
        self.backbone = swinkit.backbone(path)
        given: dict[str, Any] = golden.meta["model_config"]
        head = given["decode_head"]
        features = self.backbone.features
        self.head = KINDS[name](features, head["num_classes"], channels=head["channels"], dropout=0.0)
        self.head.load_state_dict(below("decode_head.", golden))
        self.auxiliary: DenseHead | None = None
        if "auxiliary_head" in given:
            channels = given["auxiliary_head"]["channels"]
            self.auxiliary = FCNHead(features, head["num_classes"], channels=channels, index=2, dropout=0.0)
            self.auxiliary.load_state_dict(below("auxiliary_head.", golden))

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.head(self.backbone(x)), x)


def below(prefix: str, golden: Golden) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in golden.state.items() if k.startswith(prefix)}


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Whole, Golden]:
    golden = load_golden(request.param)
    return Whole(request.param, golden, tmp_path), golden


def test_logits_before_and_after_they_are_resized(case: tuple[Whole, Golden]) -> None:
    model, golden = case[0].eval(), case[1]
    with torch.inference_mode():
        for image in ("image_a", "image_b"):
            maps = model.backbone(golden.inputs[image])
            torch.testing.assert_close(model.head(maps), golden.outputs[f"{image}/decode_logits"], **CLOSE)
            logits = model(golden.inputs[image])
            torch.testing.assert_close(logits, golden.outputs[f"{image}/logits"], **CLOSE)
            if model.auxiliary is not None:
                expected = golden.outputs[f"{image}/aux_logits"]
                torch.testing.assert_close(model.auxiliary(maps), expected, **CLOSE)
        expected = golden.outputs["image_a/prob_ori_shape"]
        logits = model(golden.inputs["image_a"])
        shown = F.interpolate(logits, expected.shape[2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(shown.softmax(1), expected, **CLOSE)


def test_sliding_windows(case: tuple[Whole, Golden]) -> None:
    model, golden = case[0].eval(), case[1]
    arguments = golden.meta["arguments"]
    with torch.inference_mode():
        ours = slide(model, golden.inputs["image_a"], arguments["crop"], arguments["stride"])
        torch.testing.assert_close(ours, golden.outputs["image_a/slide_logits"], **CLOSE)
        x = golden.inputs["image_b"]
        torch.testing.assert_close(slide(model, x, (128, 160), (64, 64)), model(x), atol=0, rtol=0)
        torch.testing.assert_close(slide(model, x, (512, 512), (341, 341)), model(x), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("size", "window", "stride"), [((97, 131), (64, 64), (43, 43)), ((64, 200), (64, 50), (64, 50))]
)
def test_windows_cover_all(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> None:
    seen = torch.zeros(size)
    for rows, columns in windows(size, window, stride):
        assert seen[rows, columns].shape == window
        seen[rows, columns] += 1
    assert seen.min() == 1


def test_strides_that_leave_gaps() -> None:
    with pytest.raises(ConfigError, match="give steps from 1"):
        list(windows((100, 100), (32, 32), (40, 32)))


def test_losses_gradients_and_statistics(case: tuple[Whole, Golden]) -> None:
    model, golden = case[0].train(), case[1]
    x, target = golden.inputs["image_a"], golden.inputs["target"][:, 0]
    maps = model.backbone(x)
    loss = cross_entropy(resize(model.head(maps), x), target)
    names = [key for key in golden.outputs if key.startswith("loss/decode.loss")]
    torch.testing.assert_close(loss, golden.outputs[names[0]], **CLOSE)
    if model.auxiliary is not None:
        auxiliary = 0.4 * cross_entropy(resize(model.auxiliary(maps), x), target)
        torch.testing.assert_close(auxiliary, golden.outputs["loss/aux.loss_seg"], **CLOSE)
        loss = loss + auxiliary
    torch.testing.assert_close(loss, golden.outputs["loss/loss"], **CLOSE)
    loss.backward()
    ours = dict(model.head.named_parameters(prefix="decode_head"))
    if model.auxiliary is not None:
        ours |= dict(model.auxiliary.named_parameters(prefix="auxiliary_head"))
    heads = {key: value for key, value in golden.gradients().items() if key in ours}
    assert len(heads) >= 3
    for key, expected in heads.items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(ours[key].grad, expected, atol=atol, rtol=0.0)
    first = next(v for k, v in golden.gradients().items() if "patch_embed" in k)
    torch.testing.assert_close(model.backbone.patch_embed.proj.weight.grad, first, **CLOSE)
    for key, expected in golden.outputs.items():
        if key.startswith("after_step/decode_head."):
            buffer = model.head.get_buffer(key.removeprefix("after_step/decode_head."))
            torch.testing.assert_close(buffer, expected, **CLOSE)
