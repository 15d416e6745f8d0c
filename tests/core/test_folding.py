"""What is folded for inference answers as before, at every size, and is not taken for weights of a file."""

from __future__ import annotations

import copy
import threading
from pathlib import Path

import pytest
import torch

import swinkit
from swinkit.core.attention import FrozenBias
from swinkit.core.backbone import SwinBackbone
from swinkit.core.folding import fold
from swinkit.errors import ConfigError
from tests.core.tiny import noisy, random, tiny_model

SIZES = ((12, 12), (13, 10), (5, 9))


def folded(model: SwinBackbone) -> SwinBackbone:
    own = copy.deepcopy(model)
    fold(own)
    return own


def largest(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("more", [{}, {"qkv_bias": False}, {"qk_scale": 0.7}], ids=["", "no_bias", "scale"])
@pytest.mark.parametrize(("rank", "fit"), [(2, "pad"), (2, "pad_shift"), (3, "clamp")])
def test_the_same_in_double_precision(rank: int, fit: str, more: dict, backend: str) -> None:
    model = tiny_model(rank, fit=fit, **more).double()
    own = folded(model)
    for net in (model, own):
        net.set_attention(backend)
    for size in SIZES:
        x = random(2, 3, *(4, *size)[-rank:]).double()
        with torch.no_grad():
            for _ in range(2):  # what is kept by size is used the second time
                assert largest(own(x), model(x)) < 1e-10


def test_single_precision_and_other_devices_of_memory() -> None:
    model = swinkit.create("swin_nano", 10).eval()
    own = swinkit.optimize(model)
    for size in (32, 33, 47):
        x = random(2, 3, size, size)
        with torch.no_grad():
            assert (own(x) - model(x)).abs().max() <= 1e-5
    assert model.training is False
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in own.parameters())
    again = swinkit.optimize(own)
    torch.testing.assert_close(again(x), own(x))


def test_norms_and_scale_are_gone() -> None:
    own = folded(tiny_model())
    affine = [name for name, norm in own.named_modules() if getattr(norm, "elementwise_affine", False)]
    assert affine == ["patch_embed.norm", "norm"]
    assert {block.attn.scale for block in own.blocks()} == {1.0}


def test_a_norm_with_a_gain_of_zero_stays() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.layers[0].blocks[0].norm1.weight[3] = 0.0
    own = folded(model)
    assert own.layers[0].blocks[0].norm1.elementwise_affine
    x = random(1, 3, 13, 10)
    assert largest(own(x), model(x)) < 1e-4


def test_few_sizes_are_kept_and_none_of_them_is_mixed_up() -> None:
    model = tiny_model()
    own = folded(model)
    inputs = [random(1, 3, 12 + i, 13) for i in range(12)]
    with torch.no_grad():
        wanted = [model(x) for x in inputs]
        found: dict[int, list[torch.Tensor]] = {}

        def answer(number: int) -> None:
            for i in range(number, 12, 3):
                with torch.no_grad():
                    found[i] = own(inputs[i])

        threads = [threading.Thread(target=answer, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for i, one in enumerate(wanted):
        assert largest(found[i], one) < 1e-4
    frozen = own.layers[0].blocks[1].attn.frozen
    assert isinstance(frozen, FrozenBias)
    assert len(frozen._kept) <= FrozenBias.sizes


def test_compiled_and_exported() -> None:
    torch._dynamo.reset()
    model = tiny_model()
    own = folded(model)
    x = random(2, 3, 13, 10)
    with torch.no_grad():
        wanted = model(x)
        compiled = torch.compile(own, fullgraph=True, backend="aot_eager")
        assert largest(compiled(x), wanted) < 1e-4
        exported = torch.export.export(own, (x,)).module()
        assert largest(exported(x), wanted) < 1e-4
        assert largest(own(x), wanted) < 1e-4
    torch._dynamo.reset()


def test_it_is_no_weights_of_a_file(tmp_path: Path) -> None:
    own = swinkit.optimize(swinkit.create("swin_pico", 3))
    with pytest.raises(ConfigError, match="save the one that it was made of"):
        swinkit.save(own, tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match="save the one that it was made of"):
        swinkit.to_dialect(own, "timm")
    with pytest.raises(ConfigError, match="'inference'"):
        swinkit.optimize(own, "training")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Linear"):
        swinkit.optimize(torch.nn.Linear(1, 1))  # type: ignore[type-var]


def test_every_task(tmp_path: Path) -> None:
    x = random(1, 3, 64, 64)
    model = noisy(swinkit.create("swin_pico", 3, task="segment", img_size=64, channels=16)).eval()
    with torch.no_grad():
        assert (swinkit.optimize(model)(x) - model(x)).abs().max() <= 1e-3 * model(x).abs().max()
