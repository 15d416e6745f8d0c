"""A backbone compiled for the sizes that it meets answers as before, and makes no graph without end."""

from __future__ import annotations

import copy
import logging
from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from swinkit.core.backbone import SwinBackbone
from swinkit.core.compiling import SizedGraphs
from tests.core.tiny import random, tiny_model


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> CompileCounterWithBackend:
    """Counts graphs, which it computes as they are: what Inductor makes of them is torch's to test."""
    own = CompileCounterWithBackend("eager")
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=own))
    return own


def pair(rank: int = 2, **numbers: object) -> tuple[SwinBackbone, SwinBackbone]:
    """Two with the same weights, the second one compiled."""
    plain = tiny_model(rank, **numbers)
    own = copy.deepcopy(plain)
    own.set_compile()
    return plain, own


@torch.no_grad()
def assert_alike(plain: SwinBackbone, own: SwinBackbone, x: torch.Tensor) -> None:
    for one, other in zip(own(x), plain(x), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_one_graph_serves_batches_of_a_size(counter: CompileCounterWithBackend) -> None:
    plain, own = (model.eval() for model in pair())
    for batch in (2, 3, 7):
        assert_alike(plain, own, random(batch, 3, 12, 10))
    assert counter.frame_count == 1
    assert_alike(plain, own, random(1, 3, 12, 10))  # one alone has a graph of its own
    assert_alike(plain, own, random(5, 3, 12, 10))
    assert counter.frame_count == 2


def test_a_clip(counter: CompileCounterWithBackend) -> None:
    plain, own = (model.eval() for model in pair(3))
    for batch in (2, 3):
        assert_alike(plain, own, random(batch, 3, 4, 9, 10))
    assert counter.frame_count == 1


def test_sizes_beyond_the_first_are_not_compiled(
    counter: CompileCounterWithBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SizedGraphs, "sizes", 10)  # torch itself would give up at the eighth
    plain, own = (model.eval() for model in pair(depths=(1,), num_heads=(2,)))
    with caplog.at_level(logging.WARNING):
        for width in range(6, 18):
            assert_alike(plain, own, random(1, 3, 4, width))
    assert counter.frame_count == 10
    assert [record.getMessage() for record in caplog.records if "10 sizes" in record.getMessage()] == [
        "Inputs have over 10 sizes: those to come are not compiled."
    ]


def test_gradients_are_the_same(counter: CompileCounterWithBackend) -> None:
    plain, own = (model.train() for model in pair())
    for batch in (2, 3):
        x = random(batch, 3, 12, 12)
        for model in (plain, own):
            model.zero_grad()
            sum(one.square().mean() for one in model(x)).backward()
        for (name, one), other in zip(own.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4, msg=name)
    assert counter.frame_count == 1


def test_what_is_recorded_is_not_compiled(counter: CompileCounterWithBackend) -> None:
    plain, own = (model.eval() for model in pair())
    x = random(2, 3, 12, 12)
    (_, one), (_, other) = own(x, attend=True), plain(x, attend=True)
    torch.testing.assert_close(one[0].weights, other[0].weights)
    assert counter.frame_count == 0


def test_a_copy_and_a_state_dict_know_nothing_of_it(counter: CompileCounterWithBackend) -> None:
    plain, own = (model.eval() for model in pair())
    assert own.state_dict().keys() == plain.state_dict().keys()
    copied = copy.deepcopy(own)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(1.1)
        for parameter in plain.parameters():
            parameter.mul_(1.1)
    assert_alike(plain, copied, random(2, 3, 12, 12))


def test_turned_off(counter: CompileCounterWithBackend) -> None:
    _, own = pair()
    own.set_compile(False)
    own(random(2, 3, 12, 12))
    assert counter.frame_count == 0
