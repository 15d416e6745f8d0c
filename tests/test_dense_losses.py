"""Losses of dense prediction beside torch's, torchvision's and torchmetrics' own, and a plain count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.segmentation import dice_score

from swinkit.features import IGNORED
from swinkit.heads.losses import cross_entropy, dice_loss, focal_loss, ohem_cross_entropy

LOSSES: list[Callable[..., Tensor]] = [cross_entropy, ohem_cross_entropy, dice_loss, focal_loss]


@pytest.fixture
def case() -> tuple[Tensor, Tensor]:
    """Logits (2, 5, 9, 11), requiring a gradient, and classes, some of them ignored."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 5, 9, 11, generator=generator, requires_grad=True)
    target = torch.randint(0, 4, (2, 9, 11), generator=generator)  # class 4 is nowhere
    target[:, :2] = IGNORED
    return logits, target


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 3.0, 1.0])])
def test_cross_entropy(case: tuple[Tensor, Tensor], weights: Tensor | None) -> None:
    logits, target = case
    mean = F.cross_entropy(logits, target, weights, ignore_index=IGNORED)
    total = F.cross_entropy(logits, target, weights, ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(cross_entropy(logits, target, weights=weights, average="valid"), mean)
    torch.testing.assert_close(cross_entropy(logits, target, weights=weights), total / target.numel())


@pytest.mark.parametrize(("threshold", "least"), [(0.2, 1), (0.9, 10), (0.01, 40), (0.5, 10**6)])
def test_hard_places(case: tuple[Tensor, Tensor], threshold: float, least: int) -> None:
    logits, target = case
    probabilities = logits.detach().softmax(1)
    places = [
        (probabilities[b, target[b, y, x], y, x].item(), b, y, x)
        for b in range(2)
        for y in range(9)
        for x in range(11)
        if target[b, y, x] != IGNORED
    ]
    places.sort()
    limit = max(threshold, places[min(2 * least, len(places) - 1)][0])
    hard = [place for place in places if place[0] < limit]
    assert hard
    each = [F.cross_entropy(logits[b, :, y, x], target[b, y, x]) for _, b, y, x in hard]
    options = {"threshold": threshold, "least": least}
    expected = torch.stack(each).sum()
    torch.testing.assert_close(ohem_cross_entropy(logits, target, **options), expected / target.numel())
    valid = ohem_cross_entropy(logits, target, **options, average="valid")
    torch.testing.assert_close(valid, expected / len(hard))


def test_dice_of_sure_answers(case: tuple[Tensor, Tensor]) -> None:
    """With one-hot answers the loss is 1 − torchmetrics' score over the classes that are there."""
    logits, target = case
    valid = target != IGNORED
    answer = logits.argmax(1)
    sure = F.one_hot(answer, 5).movedim(-1, 1) * 1e4
    score = dice_score(
        answer[valid].view(1, -1),
        target[valid].view(1, -1),
        num_classes=5,
        average="none",
        input_format="index",
    )
    expected = 1 - score[0, :4].mean()
    torch.testing.assert_close(dice_loss(sure.float(), target, smooth=0.0), expected.float())


def test_focal_loss(case: tuple[Tensor, Tensor]) -> None:
    """Of two classes it is torchvision's binary one."""
    from torchvision.ops import sigmoid_focal_loss

    logits, target = case
    two, valid = logits[:, :2], target < 2
    answer = (two[:, 1] - two[:, 0])[valid]
    expected = sigmoid_focal_loss(answer, target[valid].float(), alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(focal_loss(two, target.where(valid, IGNORED)), expected)
    torch.testing.assert_close(
        focal_loss(logits, target, gamma=0.0), cross_entropy(logits, target, average="valid")
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_to_learn_from_is_no_nan(case: tuple[Tensor, Tensor], loss: Callable[..., Tensor]) -> None:
    logits, target = case
    value = loss(logits, torch.full_like(target, IGNORED))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_places_have_no_gradient(case: tuple[Tensor, Tensor], loss: Callable[..., Tensor]) -> None:
    logits, target = case
    loss(logits, target).backward()
    assert logits.grad is not None
    assert logits.grad[:, :, :2].abs().max() == 0
    assert logits.grad[:, :, 2:].abs().max() > 0
