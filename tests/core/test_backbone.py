"""The whole backbone: sizes, outputs, equalities between its forms, precision, compilers, no state."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.layers import DropPath
from swinkit.core.windows import FITS
from swinkit.errors import ConfigError
from swinkit.features import FeatureSpec
from tests.core import reference
from tests.core.tiny import examples, noisy, random, tiny_config, tiny_model

CLOSE = {"atol": 2e-5, "rtol": 1e-5, "check_dtype": False}
EXACT = {"atol": 1e-6, "rtol": 0.0}


def assert_maps(maps, expected, **close) -> None:
    for got, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, wanted, **(close or CLOSE))


# ---------------------------------------------------------------- any size


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("rank", "size"), [(2, (13, 10)), (2, (4, 23)), (3, (3, 11, 6)), (3, (5, 4, 9))])
def test_equals_the_slow_reference(rank: int, size: tuple[int, ...], fit: str) -> None:
    model = tiny_model(rank, model={"norms": "none"}, fit=fit)
    x = random(1, 3, *size)
    expected = reference.run_backbone(model, x, fit=fit)
    assert_maps([m.movedim(1, -1) for m in model(x)], expected)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[int, int, int, tuple[int, ...], str]:
    rank = draw(st.sampled_from([2, 3]))
    size = draw(st.tuples(*[st.integers(1, 33 if rank == 2 else 12)] * rank))
    return rank, draw(st.integers(1, 3)), draw(st.integers(1, 4)), size, draw(st.sampled_from(FITS))


@given(inputs())
@examples(25)
def test_any_size_batch_and_channels(case) -> None:
    rank, batch, channels, size, fit = case
    model = tiny_model(rank, in_chans=channels, fit=fit)
    maps = model(random(batch, channels, *size))
    grid = [-(-n // 2) for n in size]
    for i, feature_map in enumerate(maps):
        assert feature_map.shape == (batch, 8 * 2**i, *grid)
        assert feature_map.isfinite().all()
        grid = [*grid[:-2], *(-(-n // 2) for n in grid[-2:])]
    # a batch is its samples
    alone = model(random(batch, channels, *size)[-1:])
    assert_maps([m[-1:] for m in maps], alone)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("rank", [2, 3])
def test_one_pixel(rank: int, fit: str) -> None:
    model = tiny_model(rank, fit=fit, patch=(4,) * rank, depths=(2, 2, 2), num_heads=(2, 2, 2))
    maps = model(random(1, 3, *[1] * rank))
    assert [tuple(m.shape) for m in maps] == [(1, c, *[1] * rank) for c in (8, 16, 32)]
    expected = reference.run_backbone(model, random(1, 3, *[1] * rank), fit=fit)
    assert_maps(maps[:2], [m.movedim(-1, 1) for m in expected[:2]])


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 4, 8, 8), (2, 3, 4, 8, 8), (3, 8, 8)])
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"takes \(B, C, H, W\) with 3 channels"):
        tiny_model()(torch.zeros(shape))


# ---------------------------------------------------------------- an image is a one-frame video


def as_video(model: SwinBackbone, **changes: object) -> SwinBackbone:
    values = model.config.to_dict()
    values |= {"patch": (1, *values["patch"]), "window": [(1, *w) for w in values["window"]]} | changes
    video = SwinBackbone(SwinConfig(**values), norms=model.norms)
    state = model.state_dict()
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].unsqueeze(2)
    video.load_state_dict(state)
    return video.eval()


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(12, 12), (13, 22), (5, 3)])
def test_an_image_is_a_one_frame_video(size: tuple[int, int], fit: str, backend: str) -> None:
    model = tiny_model(fit=fit)
    video = as_video(model)
    for each in (model, video):
        each.set_attention(backend)
    x = random(2, 3, *size)
    assert_maps([m.squeeze(2) for m in video(x.unsqueeze(2))], model(x), **EXACT)


def test_frames_do_not_meet_in_a_window_of_one_frame() -> None:
    model = tiny_model(fit="pad")
    x = random(2, 3, 4, 13, 10)
    frames = model(x.transpose(1, 2).flatten(0, 1))
    expected = [m.unflatten(0, (2, 4)).transpose(1, 2) for m in frames]
    assert_maps(as_video(model)(x), expected, **EXACT)


@pytest.mark.parametrize("size", [(12, 12), (20, 9)])
def test_absolute_positions_of_an_image_and_a_video(size: tuple[int, int]) -> None:
    model = tiny_model(absolute_position=True, img_size=(12, 12))
    video = as_video(model, img_size=(1, 12, 12))
    x = random(2, 3, *size)
    assert_maps([m.squeeze(2) for m in video(x.unsqueeze(2))], model(x), **EXACT)


# ---------------------------------------------------------------- outputs


def test_features_describe_the_maps() -> None:
    model = tiny_model(3, depths=(1, 1, 1), num_heads=(1, 1, 1), patch=(2, 4, 4))
    assert model.features == (FeatureSpec(8, 4, 2), FeatureSpec(16, 8, 2), FeatureSpec(32, 16, 2))
    maps = model(random(1, 3, 4, 32, 64))
    for spec, feature_map in zip(model.features, maps, strict=True):
        assert feature_map.shape == (
            1,
            spec.channels,
            4 // spec.time_stride,
            32 // spec.stride,
            64 // spec.stride,
        )
    image = tiny_model(patch=(4, 4), model={"out_indices": (1,)})
    assert image.features == (FeatureSpec(16, 8, 1),)


def test_out_indices_return_the_same_maps_and_stop_there() -> None:
    whole = tiny_model(depths=(2, 1, 2), num_heads=(1, 2, 2), model={"norms": "none"})
    part = SwinBackbone(whole.config, out_indices=(0, 1), norms="none").eval()
    part.load_state_dict(whole.state_dict())
    ran = []
    for i, layer in enumerate(part.layers):
        layer.register_forward_hook(lambda *_, i=i: ran.append(i))
    part.layers[1].downsample.register_forward_hook(lambda *_: ran.append("merged"))
    x = random(2, 3, 13, 18)
    assert_maps(part(x), whole(x)[:2], atol=0.0, rtol=0.0)
    assert ran == [0, 1]


@pytest.mark.parametrize("rank", [2, 3])
def test_norms(rank: int) -> None:
    numbers = {"depths": (1, 1, 1), "num_heads": (1, 1, 1)}
    bare = tiny_model(rank, model={"norms": "none"}, **numbers)
    x = random(2, 3, *(3, 9, 14)[-rank:])
    maps = bare(x)

    each = SwinBackbone(bare.config, out_indices=(0, 2), norms="each").eval()
    noisy(each).load_state_dict(bare.state_dict(), strict=False)
    assert {n.split(".")[0] for n in each.state_dict() if n.startswith("norm")} == {"norm0", "norm2"}
    for got, i in zip(each(x), (0, 2), strict=True):
        expected = reference.normalise(maps[i].movedim(1, -1).double(), getattr(each, f"norm{i}"))
        torch.testing.assert_close(got.movedim(1, -1), expected, **CLOSE)

    final = SwinBackbone(bare.config).eval()
    noisy(final).load_state_dict(bare.state_dict(), strict=False)
    assert {n.split(".")[0] for n in final.state_dict() if n.startswith("norm")} == {"norm"}
    last = reference.normalise(maps[2].movedim(1, -1).double(), final.norm).movedim(-1, 1)
    assert_maps(final(x), [maps[0], maps[1], last])


@pytest.mark.parametrize("rank", [2, 3])
def test_absolute_position_is_added_and_resized(rank: int) -> None:
    trained = (4, 8, 6)[-rank:]
    model = tiny_model(rank, absolute_position=True, img_size=trained, model={"norms": "none"})
    grid = tuple(n // 2 for n in trained)
    table = model.absolute_pos_embed
    assert table.shape == (1, torch.Size(grid).numel(), 8)
    bare = tiny_model(rank, model={"norms": "none"})
    bare.load_state_dict({k: v for k, v in model.state_dict().items() if k != "absolute_pos_embed"})
    # at its own size, token (.., i, j) gets row i·W + j
    x = random(1, 3, *trained)
    with torch.no_grad():
        expected = bare.patch_embed(x) + table.view(1, *grid, 8)
        torch.testing.assert_close(model._embed(x), expected, **EXACT)
        # a table that is a constant stays one at any size
        table.copy_(torch.arange(8.0).expand_as(table))
        x = random(1, 3, *(10, 14, 26)[-rank:])
        got = model._embed(x) - bare.patch_embed(x)
        torch.testing.assert_close(got, torch.arange(8.0).expand_as(got), atol=1e-4, rtol=0)


def test_absolute_position_in_time_is_linear_and_in_space_bicubic() -> None:
    model = tiny_model(3, absolute_position=True, img_size=(4, 6, 8))
    with torch.no_grad():
        table = model.absolute_pos_embed.view(2, 3, 4, 8)
        # twice the frames: 0, 1/4, 3/4, 1 of the way from the first to the second
        longer = model._positions((4, 3, 4))[0]
        for i, w in enumerate((0.0, 0.25, 0.75, 1.0)):
            torch.testing.assert_close(longer[i], torch.lerp(table[0], table[1], w), atol=1e-5, rtol=0)
        wider = model._positions((2, 5, 7))[0]
        planes = table.permute(0, 3, 1, 2)
        expected = nn.functional.interpolate(planes, (5, 7), mode="bicubic", align_corners=False)
        torch.testing.assert_close(wider, expected.permute(0, 2, 3, 1), atol=1e-5, rtol=0)


# ---------------------------------------------------------------- options


def test_qk_scale_qkv_bias_and_patch_norm() -> None:
    more = {"qk_scale": 0.9, "qkv_bias": False, "patch_norm": False, "mlp_ratio": 1.5}
    model = tiny_model(model={"norms": "none"}, **more)
    names = set(model.state_dict())
    assert not {n for n in names if n.endswith("qkv.bias") or n.startswith("patch_embed.norm")}
    assert model.layers[0].blocks[0].mlp.fc1.out_features == 12
    x = random(1, 3, 13, 10)
    expected = reference.run_backbone(model, x, fit="pad", scale=0.9)
    assert_maps([m.movedim(1, -1) for m in model(x)], expected)


def test_drop_path_rates_rise_linearly() -> None:
    config = tiny_config(depths=(2, 2, 6, 2), num_heads=(1, 1, 1, 1), drop_path=0.2)
    rates = [rate for stage in config.drop_path_rates() for rate in stage]
    torch.testing.assert_close(torch.tensor(rates), torch.linspace(0, 0.2, 12))
    assert [len(stage) for stage in config.drop_path_rates()] == [2, 2, 6, 2]
    model = SwinBackbone(config)
    assert [block.drop_path.rate for layer in model.layers for block in layer.blocks] == rates
    assert tiny_config(depths=(1,), num_heads=(1,), drop_path=0.2).drop_path_rates() == [[0.0]]


def test_drop_path_drops_whole_samples_at_its_rate() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.3).train()
    out = layer(torch.ones(20_000, 2, 3))
    flat = out.flatten(1)
    assert torch.equal(flat, flat[:, :1].expand_as(flat))
    dropped = (flat[:, 0] == 0).double().mean()
    assert abs(dropped - 0.3) < 4 * (0.3 * 0.7 / 20_000) ** 0.5
    torch.testing.assert_close(
        flat[flat[:, 0] != 0], torch.full((1, 6), 1 / 0.7).expand((flat[:, 0] != 0).sum(), 6)
    )
    x = torch.ones(4, 2)
    assert layer.eval()(x) is x
    assert torch.equal(DropPath(1.0).train()(x), torch.zeros_like(x))


def test_a_block_that_is_always_dropped_is_the_identity() -> None:
    model = tiny_model(depths=(1, 1), num_heads=(1, 1), drop_path=1.0, model={"norms": "none"}).train()
    first, last = model(random(2, 3, 12, 12))
    assert torch.equal(last, model.layers[0].downsample(first.movedim(1, -1)).movedim(-1, 1))


@pytest.mark.parametrize("stages", [True, (1,), ()], ids=str)
def test_checkpointing_changes_nothing_but_memory(stages) -> None:
    x = random(2, 3, 13, 10)
    results, runs = [], []
    for chosen in (False, stages):
        model = tiny_model(drop=0.1, attn_drop=0.1, drop_path=0.5).train()
        model.set_checkpointing(chosen)
        count = [0, 0]
        for i, layer in enumerate(model.layers):
            layer.blocks[0].register_forward_hook(lambda *_, i=i, c=count: c.__setitem__(i, c[i] + 1))
        torch.manual_seed(0)
        loss = sum(m.square().sum() for m in model(x))
        loss.backward()
        results.append([loss, *(p.grad for p in model.parameters())])
        runs.append(count)
    for plain, again in zip(*results, strict=True):
        assert torch.equal(plain, again)
    again = {True: [2, 2], (1,): [1, 2], (): [1, 1]}[stages]
    assert runs == [[1, 1], again]


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_frozen_stages_stay_still(stages: int) -> None:
    options = {"drop": 0.3, "attn_drop": 0.3, "drop_path": 0.3, "absolute_position": True, "img_size": 12}
    model = tiny_model(**options)
    model.freeze(stages)
    model.train()
    frozen = {"patch_embed", "absolute_pos_embed", *(f"layers.{i}" for i in range(stages))}
    sum(m.square().sum() for m in model(random(2, 3, 12, 12))).backward()
    for name, parameter in model.named_parameters():
        still = any(name.startswith(prefix) for prefix in frozen)
        assert parameter.requires_grad != still, name
        assert (parameter.grad is None) == still, name
    assert model.training
    assert not model.patch_embed.training
    assert not model.pos_drop.training
    for i, layer in enumerate(model.layers):
        assert {m.training for m in layer.modules()} == {i >= stages}
    if stages:
        x = random(2, 3, 12, 12)
        assert torch.equal(model(x)[0], model(x)[0])
    model.eval()
    assert not any(m.training for m in model.modules())


@pytest.mark.parametrize("stages", [-1, 3])
def test_freezing_stages_that_do_not_exist(stages: int) -> None:
    with pytest.raises(ConfigError, match=f"freeze={stages}"):
        tiny_model().freeze(stages)


# ---------------------------------------------------------------- precision


def drift(maps, expected) -> float:
    return max(
        ((m.double() - e.double()).norm() / e.double().norm()).item()
        for m, e in zip(maps, expected, strict=True)
    )


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 4e-3), (torch.bfloat16, 3e-2)], ids=str)
def test_half_precision_drifts_little(dtype: torch.dtype, bound: float, backend: str) -> None:
    model = tiny_model(depths=(2, 4), absolute_position=True, img_size=12)
    x = random(2, 3, 26, 22)
    with torch.no_grad():
        expected = model(x)
        half = copy.deepcopy(model).to(dtype)
        half.set_attention(backend)
        maps = half(x.to(dtype))
    assert all(m.dtype == dtype for m in maps)
    assert 1e-5 < drift(maps, expected) < bound


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_autocast_drifts_little_and_trains(backend: str) -> None:
    model = tiny_model(depths=(2, 4))
    model.set_attention(backend)
    x = random(2, 3, 26, 22)
    expected = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        maps = model(x)
        loss = sum(m.float().square().mean() for m in maps)
    assert 1e-5 < drift(maps, expected) < 3e-2
    loss.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


# ---------------------------------------------------------------- compilers


@pytest.mark.parametrize(("rank", "fit"), [(2, "pad"), (3, "clamp")])
def test_compiled_whole(rank: int, fit: str) -> None:
    torch._dynamo.reset()
    model = tiny_model(rank, fit=fit, depths=(2, 1))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    size = (3, 13, 10)[-rank:]
    for batch in (2, 5):
        x = random(batch, 3, *size)
        torch._dynamo.mark_dynamic(x, 0)
        with torch.no_grad():
            assert_maps(compiled(x), model(x))
    # plain use, training and another size still work afterwards
    sum(m.square().sum() for m in model(random(2, 3, *(n + 3 for n in size)))).backward()
    torch._dynamo.reset()


def test_compiled_training() -> None:
    torch._dynamo.reset()
    model = tiny_model(depths=(2,), num_heads=(2,))
    gradients = []
    for run in (torch.compile(model, fullgraph=True, backend="aot_eager"), model):
        model.zero_grad()
        sum(m.square().mean() for m in run(random(2, 3, 13, 10))).backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert_maps(*gradients)
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_by_inductor() -> None:
    torch._dynamo.reset()
    model = tiny_model()
    compiled = torch.compile(model, fullgraph=True, dynamic=None)
    with torch.no_grad():
        for batch in (2, 3):
            x = random(batch, 3, 13, 10)
            torch._dynamo.mark_dynamic(x, 0)
            assert_maps(compiled(x), model(x))
    torch._dynamo.reset()


@pytest.mark.parametrize(("rank", "fit"), [(2, "pad"), (2, "pad_shift"), (3, "clamp")])
def test_exported_with_any_batch(rank: int, fit: str) -> None:
    model = tiny_model(rank, fit=fit)
    size = (3, 13, 10)[-rank:]
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}}
    program = torch.export.export(model, (random(2, 3, *size),), dynamic_shapes=shapes)
    exported = program.module()
    for batch in (1, 2, 7):
        x = random(batch, 3, *size)
        assert_maps(exported(x), model(x))
    # what was traced stays in the graph: plain use, training and another size still work
    for other in (size, tuple(n + 3 for n in size)):
        sum(m.square().sum() for m in model(random(2, 3, *other))).backward()


def test_export_does_not_freeze_the_shift_of_a_dynamic_grid() -> None:
    # torchvision's export keeps the traced size's decision not to shift: silently wrong elsewhere
    model = tiny_model(depths=(2,), num_heads=(2,))
    shapes = {"x": {2: 2 * torch.export.Dim("h", min=1, max=40), 3: 2 * torch.export.Dim("w", min=1, max=40)}}
    x = random(1, 3, 26, 22)
    try:
        maps = torch.export.export(model, (random(1, 3, 6, 6),), dynamic_shapes=shapes).module()(x)
    except (RuntimeError, ValueError):  # refused by the exporter
        return
    except AssertionError as error:  # or by the exported program, which guards the decision
        assert "Guard failed" in str(error)  # noqa: PT017
        return
    assert_maps(maps, model(x))


# ---------------------------------------------------------------- no state


def test_inference_mode_first_then_training() -> None:
    model = tiny_model(window=(3, 5))  # a window that no other test has put into the cache
    x = random(2, 3, 17, 23)
    with torch.inference_mode():
        expected = [m.clone() for m in model(x)]
    maps = model.train()(x)
    sum(m.square().sum() for m in maps).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert_maps([m.detach() for m in maps], expected)


def test_running_leaves_no_state() -> None:
    model = tiny_model(absolute_position=True, img_size=12)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = random(1, 3, 13, 10), random(3, 3, 30, 5, seed=1)
    first = model(a)
    model(b)
    with torch.no_grad():
        model(b, attend=True)
    assert_maps(model(a), first, atol=0.0, rtol=0.0)
    assert not list(model.buffers())
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_threads_do_not_disturb_each_other() -> None:
    model = tiny_model(window=(5, 3))  # not in the cache yet
    inputs = [random(1, 3, 9 + 2 * i, 31 - 3 * i, seed=i) for i in range(8)] * 2

    def run(x):
        with torch.no_grad():
            return model(x)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, inputs))
    for maps, x in zip(together, inputs, strict=True):
        assert_maps(maps, run(x), **EXACT)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    model = SwinBackbone(tiny_config(embed_dim=32, absolute_position=True, img_size=32))
    for name, p in model.named_parameters():
        if "norm" in name:
            assert (p == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif name.endswith("bias") and name != "patch_embed.proj.bias":
            assert not p.any(), name
        elif not name.startswith("patch_embed"):
            assert 0.01 < p.std() < 0.03, name


# ---------------------------------------------------------------- numbers


ROUND_TRIPS = [
    {},
    {"window": [[7, 7], [7, 7], [14, 14], [7, 7]], "fit": "clamp", "drop_path": 0.2},
    {"patch": (2, 4, 4), "window": (8, 7, 7), "fit": "clamp", "img_size": (32, 224, 224)},
    {"img_size": 224, "absolute_position": True, "qk_scale": 0.5, "qkv_bias": False},
    {"depths": [2, 2], "num_heads": [3, 6], "window": [4, 8], "prefix_index": True, "fit": "pad_shift"},
]


@pytest.mark.parametrize("values", ROUND_TRIPS)
def test_config_round_trip_through_json(values: dict) -> None:
    config = SwinConfig(**values)
    again = SwinConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert again.to_dict() == config.to_dict()


WINDOWS = [
    # an int is cut to the grid of a `pad` classifier: 24, 12, 6
    ({"window": 12, "img_size": 96}, 3, ((12, 12), (12, 12), (6, 6))),
    ({"window": 12, "img_size": 96, "fit": "clamp"}, 3, ((12, 12),) * 3),
    ({"window": 12, "img_size": 96, "fit": "pad_shift"}, 3, ((12, 12),) * 3),
    ({"window": 12}, 3, ((12, 12),) * 3),
    # the shorter side counts, and odd grids round up: 25×13, 13×7, 7×4
    ({"window": 7, "img_size": (100, 52)}, 3, ((7, 7), (7, 7), (4, 4))),
    ({"window": 7, "img_size": 224}, 4, ((7, 7),) * 4),
    # sequences are taken as they are
    ({"window": (6, 5), "img_size": 16}, 3, ((6, 5),) * 3),
    ({"window": (12, 12, 6)}, 3, ((12, 12), (12, 12), (6, 6))),
    ({"window": [(3, 4), (5, 6), (7, 8)]}, 3, ((3, 4), (5, 6), (7, 8))),
    ({"window": (8, 7, 7), "patch": (2, 4, 4)}, 4, ((8, 7, 7),) * 4),
    ({"window": (8, 7, 7, 4), "patch": (2, 4, 4)}, 4, ((8,) * 3, (7,) * 3, (7,) * 3, (4,) * 3)),
]


@pytest.mark.parametrize(("values", "stages", "windows"), WINDOWS)
def test_window_expansion(values: dict, stages: int, windows: tuple) -> None:
    config = SwinConfig(depths=(1,) * stages, num_heads=(1,) * stages, **values)
    assert config.windows == windows
    tables = [layer.blocks[0].attn.relative_position_bias_table for layer in SwinBackbone(config).layers]
    sides = [torch.tensor(w) * 2 - 1 for w in windows]
    assert [len(t) for t in tables] == [s.prod().item() for s in sides]


def test_grid_and_dim() -> None:
    config = SwinConfig(img_size=(225, 100))
    assert [config.grid(i) for i in range(4)] == [(57, 25), (29, 13), (15, 7), (8, 4)]
    assert [config.dim(i) for i in range(4)] == [96, 192, 384, 768]
    video = SwinConfig(patch=(2, 4, 4), window=(8, 7, 7), img_size=(31, 64, 32))
    assert [video.grid(i) for i in range(3)] == [(16, 16, 8), (16, 8, 4), (16, 4, 2)]
    assert SwinConfig().grid(0) is None


MISTAKES = [
    ({"patch": (4, 4, 4, 4)}, "patch=(4, 4, 4, 4)"),
    ({"patch": (4,)}, "patch=(4,)"),
    ({"num_heads": (3, 6)}, "num_heads=(3, 6)"),
    ({"fit": "padd"}, "'pad'"),
    ({"img_size": (1, 2, 3)}, "img_size=(1, 2, 3)"),
    ({"img_size": 224, "patch": (2, 4, 4)}, "img_size=(224, 224)"),
    ({"embed_dim": 0}, "embed_dim"),
    ({"in_chans": -1}, "in_chans"),
    ({"mlp_ratio": 0}, "mlp_ratio"),
    ({"depths": (2, 2, 0, 2)}, "0"),
    ({"num_heads": (3, 6, 12, 0)}, "0"),
    ({"img_size": 0}, "0"),
    ({"drop": 1.5}, "drop=1.5"),
    ({"attn_drop": -0.1}, "attn_drop=-0.1"),
    ({"drop_path": float("nan")}, "drop_path=nan"),
    ({"num_heads": (3, 6, 12, 25)}, "25 heads"),
    ({"absolute_position": True}, "img_size"),
    ({"window": (7, 7, 7)}, "window="),
    ({"window": [(7, 7), (7, 7)]}, "window="),
    ({"window": [(7, 7), (7, 7), (7, 7, 7), (7, 7)]}, "window="),
    ({"window": 0}, "window="),
    ({"window": (7, -7)}, "window="),
]


def assert_one_sentence(error: pytest.ExceptionInfo, part: str) -> None:
    text = str(error.value)
    assert part in text
    assert "\n" not in text
    assert text.endswith((".", "?"))
    assert ". " not in text


@pytest.mark.parametrize(("values", "part"), MISTAKES, ids=str)
def test_mistakes_in_numbers(values: dict, part: str) -> None:
    with pytest.raises(ConfigError) as error:
        SwinConfig(**values)
    assert_one_sentence(error, part)


def test_unknown_settings() -> None:
    with pytest.raises(ConfigError) as error:
        SwinConfig.from_dict({"embed_dims": 96})
    assert_one_sentence(error, "'embed_dim'?")
    for wrong in ((), (1, 0), (0, 0), (0, 2), (-1,)):
        with pytest.raises(ConfigError) as error:
            SwinBackbone(tiny_config(), out_indices=wrong)
        assert_one_sentence(error, "out_indices")
    with pytest.raises(ConfigError) as error:
        SwinBackbone(tiny_config(), norms="every")
    assert_one_sentence(error, "'every'")
    with pytest.raises(ConfigError) as error:
        tiny_model().set_attention("flash")
    assert_one_sentence(error, "'flash'")


def test_no_stages_at_all() -> None:
    with pytest.raises(ConfigError):
        SwinConfig(depths=(), num_heads=())


def test_initial_weights_by_their_inputs() -> None:
    torch.manual_seed(0)
    model = SwinBackbone(tiny_config(embed_dim=32, init_std=None))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert 0.8 < module.weight.std() * module.in_features**0.5 < 1.2
