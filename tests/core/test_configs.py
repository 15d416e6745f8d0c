"""Random sizes of models and inputs against the slow reference, which shares no code with the fast path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.windows import FITS
from tests.core import reference
from tests.core.tiny import noisy, random

CASES, SAMPLE, SEED = 320, 12, 24
# the reference computes in float64, the model in float32: the rounding of sums of hundreds in up to 9 blocks
MAX_ERROR = 2e-5  # relative to the largest value of a map


def draw_config(rng: np.random.Generator) -> tuple[SwinConfig, tuple[int, ...]]:
    """A model and the size of its input; every part of it drawn."""

    def some(least: int, most: int) -> int:
        return int(rng.integers(least, most + 1))

    rank = some(2, 3)
    stages = some(1, 3)
    heads = [some(1, 3) for _ in range(stages)]
    # the width of stage i is embed_dim · 2^i and must be a multiple of its heads
    embed_dim = int(np.lcm.reduce(heads)) * some(1, 3) * 2
    sides = (some(1, 5), some(1, 7), some(1, 7))[-rank:]
    patch = (some(1, 2), some(1, 4), some(1, 4))[-rank:]
    size = tuple(some(1, 26 if rank == 2 else 11) for _ in range(rank))
    config = SwinConfig(
        embed_dim=embed_dim,
        depths=tuple(some(1, 3) for _ in range(stages)),
        num_heads=tuple(heads),
        window=sides,
        patch=patch,
        in_chans=some(1, 4),
        mlp_ratio=float(rng.choice([1.0, 2.0, 4.0])),
        qkv_bias=bool(rng.random() < 0.7),
        fit=str(rng.choice(FITS)),
        patch_norm=bool(rng.random() < 0.7),
    )
    return config, size


def relative_error(config: SwinConfig, size: tuple[int, ...], seed: int) -> float:
    model = noisy(SwinBackbone(config, norms="none"), seed).eval()
    x = random(2, config.in_chans, *size, seed=seed)
    with torch.no_grad():
        maps = [m.movedim(1, -1).double() for m in model(x)]
        expected = [m.double() for m in reference.run_backbone(model, x, fit=config.fit)]
    assert [m.shape for m in maps] == [m.shape for m in expected]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(maps, expected, strict=True))


def check_configs(cases: int, seed: int) -> None:
    worst = 0.0
    for number in range(cases):
        config, size = draw_config(np.random.default_rng((seed, number)))
        error = relative_error(config, size, number)
        assert error < MAX_ERROR, (number, error, size, config)
        worst = max(worst, error)
    print(f"{cases} random configurations, largest relative error {worst:.1e}")


def test_random_configurations() -> None:
    check_configs(SAMPLE, SEED)


@pytest.mark.slow
def test_many_random_configurations() -> None:
    check_configs(CASES, SEED + 1)
