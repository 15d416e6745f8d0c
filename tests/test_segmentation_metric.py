"""Figures of dense prediction beside torchmetrics' and a plain count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from swinkit.features import IGNORED
from swinkit.metrics.segment import Confusion


@pytest.fixture
def pictures() -> list[tuple[Tensor, Tensor]]:
    """Answers and truths of three pictures; class 5 is nowhere, class 4 only answered."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for height, width in ((7, 9), (12, 5), (1, 40)):
        truth = torch.randint(0, 4, (height, width), generator=generator)
        answer = truth.where(torch.rand(height, width, generator=generator) < 0.6, (truth + 1) % 5)
        truth[0, :3] = IGNORED
        made.append((answer, truth))
    return made


def counted(pictures: list[tuple[Tensor, Tensor]], classes: int = 6) -> Confusion:
    confusion = Confusion(classes)
    for answer, truth in pictures:
        confusion.update(answer, truth)
    return confusion


def test_figures(pictures: list[tuple[Tensor, Tensor]]) -> None:
    confusion = counted(pictures)
    answer, truth = (torch.cat([x.flatten() for x in part]) for part in zip(*pictures, strict=True))
    figures = confusion.figures()
    iou = MulticlassJaccardIndex(6, average="none", ignore_index=IGNORED)(answer, truth)
    torch.testing.assert_close(confusion.iou()[:5].float(), iou[:5])
    assert confusion.iou()[5].isnan()
    assert figures["miou"] == pytest.approx(100 * iou[:5].mean().item())
    accuracy = MulticlassAccuracy(6, average="none", ignore_index=IGNORED)(answer, truth)
    assert figures["macc"] == pytest.approx(100 * accuracy[:4].mean().item())
    valid = truth != IGNORED
    assert figures["aacc"] == pytest.approx(100 * (answer == truth)[valid].float().mean().item())


def test_several_processes_count_as_one(pictures: list[tuple[Tensor, Tensor]]) -> None:
    whole, first, second = counted(pictures), counted(pictures[:1]), counted(pictures[1:])
    first.merge(second)
    assert torch.equal(first.matrix, whole.matrix)
    empty = Confusion(6)
    empty.merge(whole)
    empty.merge(Confusion(6))
    assert torch.equal(empty.matrix, whole.matrix)
    assert (first.count, empty.count) == (3, 3)


def test_counts_are_exact_beyond_what_floats_hold() -> None:
    confusion = Confusion(2)
    confusion.matrix[0, 0] = 2**60
    confusion.update(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64))
    assert confusion.matrix[0, 0].item() == 2**60 + 1


def test_nothing_labelled_is_no_nan() -> None:
    confusion = Confusion(3)
    confusion.update(torch.zeros(4, 4, dtype=torch.int64), torch.full((4, 4), IGNORED))
    assert confusion.figures() == {"miou": 0.0, "macc": 0.0, "aacc": 0.0}
