"""The fused kernels against the eager oracle; where there is no GPU, under Triton's interpreter."""

from __future__ import annotations

import copy
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from triton.runtime import interpreter

from swinkit.core import fused, kernels
from swinkit.core.attention import WindowAttention
from swinkit.core.backbone import SwinBackbone
from swinkit.core.windows import FITS
from tests.core.tiny import examples, make_layout, noisy, random, run_attention, tiny_config

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EXACT = torch.float64 if DEVICE.type == "cpu" else torch.float32
CLOSE = {"atol": 1e-10, "rtol": 1e-9} if DEVICE.type == "cpu" else {"atol": 1e-4, "rtol": 1e-3}


@pytest.fixture(autouse=True, scope="module")
def quick_interpreter() -> Iterator[None]:
    """Triton's interpreter patches its language anew in each function that a kernel calls; once is enough."""
    slow = interpreter.InterpretedFunction.__call__

    def call(self: Any, *given: Any, **named: Any) -> Any:
        own = self.fn.__module__ == kernels.__name__
        return self.rewrite()(*given, **named) if own else slow(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.InterpretedFunction, "__call__", call)
        yield


def make_attention(window: tuple[int, ...], heads: int = 2, width: int = 16, **more: Any) -> WindowAttention:
    return noisy(WindowAttention(heads * width, window, heads, **more)).eval().to(DEVICE, EXACT)


def answer_and_gradients(
    attn: WindowAttention, x: Tensor, backend: str, *, shifted: bool, fit: str
) -> list[Tensor]:
    """The output, and gradients of the input and of every parameter."""
    attn.backend = backend
    x = x.to(DEVICE, EXACT).requires_grad_()
    layout = make_layout(tuple(x.shape[1:-1]), attn.window, shifted=shifted, fit=fit, like=x)
    assert attn.resolve(x) == backend
    out = attn(x, layout)
    cotangent = random(*out.shape, seed=1).to(out)
    return [out.detach(), *torch.autograd.grad((out * cotangent).sum(), [x, *attn.parameters()])]


def assert_equal_to_eager(attn: WindowAttention, x: Tensor, *, shifted: bool, fit: str) -> None:
    names = ["out", "x", *(name for name, _ in attn.named_parameters())]
    eager, own = (
        answer_and_gradients(attn, x, backend, shifted=shifted, fit=fit) for backend in ("eager", "fused")
    )
    for name, wanted, found in zip(names, eager, own, strict=True):
        assert wanted.abs().sum() > 0
        torch.testing.assert_close(found, wanted, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], bool, str]:
    rank = draw(st.sampled_from([2, 3]))
    grid = draw(st.tuples(*[st.integers(1, 7 if rank == 2 else 4)] * rank))
    window = draw(st.tuples(*[st.integers(2, 4 if rank == 2 else 3)] * rank))
    return grid, window, draw(st.booleans()), draw(st.sampled_from(FITS))


@given(cases())
@examples(4)
@example(((7, 5), (3, 3), True, "pad"))
@example(((7, 2), (3, 3), True, "pad"))
@example(((3, 3), (3, 3), True, "pad_shift"))
@example(((2, 5), (4, 3), True, "clamp"))
@example(((5, 4, 2), (2, 3, 3), True, "pad"))
@example(((1, 4, 3), (2, 3, 3), True, "pad_shift"))
@example(((1, 4, 2), (2, 3, 3), True, "clamp"))
@example(((7, 5), (3, 3), True, "roll_pad"))
@example(((2, 7), (4, 3), True, "roll_pad_shift"))
@example(((3, 7), (3, 3), True, "square"))
def test_equals_the_oracle(case) -> None:
    grid, window, shifted, fit = case
    assert_equal_to_eager(make_attention(window, 1), random(2, *grid, 16), shifted=shifted, fit=fit)


@pytest.mark.parametrize(
    ("grid", "window"), [((15, 17), (8, 9)), ((4, 6, 7), (3, 5, 5))], ids=["image", "video"]
)
def test_windows_of_several_tiles(grid: tuple[int, ...], window: tuple[int, ...]) -> None:
    assert_equal_to_eager(make_attention(window), random(1, *grid, 32), shifted=True, fit="pad_shift")


@pytest.mark.parametrize("width", [16, 32, 64])
def test_widths_of_heads(width: int) -> None:
    attn = make_attention((2, 3), 1, width)
    assert_equal_to_eager(attn, random(1, 3, 4, width), shifted=True, fit="pad")


@pytest.mark.parametrize(
    "more",
    [{"qk_scale": 0.9}, {"qkv_bias": False}, {"prefix_index": True}],
    ids=["qk_scale", "qkv_bias", "prefix_index"],
)
def test_options(more: dict[str, Any]) -> None:
    attn = make_attention((2, 3, 3), **more)
    assert_equal_to_eager(attn, random(1, 2, 2, 5, 32), shifted=True, fit="clamp")
    assert_equal_to_eager(attn, random(1, 3, 2, 5, 32), shifted=True, fit="pad")


def test_gradcheck() -> None:
    qkv, pad, table = random(1, 3, 2, 48), random(48, seed=1), random(9, 1, seed=2)
    tensors = [tensor.double().requires_grad_() for tensor in (qkv, pad, table)]

    def run(*given: Tensor) -> Tensor:
        return fused.window_attention(*given, [2, 2, 1, 1, 2, 2, 0], 0.3)[0]

    if DEVICE.type == "cpu":
        assert torch.autograd.gradcheck(run, tensors, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_is_as_near_as_eager(dtype: torch.dtype) -> None:
    # the oracle in fp64 on the same rounded numbers; eager's own distance from it is the measure
    attn = make_attention((3, 3)).to(dtype)
    x = random(2, 7, 5, 32).to(DEVICE, dtype)
    exact = copy.deepcopy(attn).double()
    exact.backend = "eager"
    wanted = run_attention(exact, x.double(), shifted=True, fit="pad")
    errors = {}
    for backend in ("eager", "fused"):
        attn.backend = backend
        found = run_attention(attn, x, shifted=True, fit="pad")
        assert found.dtype == dtype
        errors[backend] = (found.double() - wanted).abs().max().item()
    assert errors["fused"] <= 2 * errors["eager"] + 1e-6


def test_under_autocast() -> None:
    attn = make_attention((3, 3)).float()
    x = random(1, 4, 5, 32).to(DEVICE)
    found = {}
    for backend in ("eager", "fused"):
        attn.backend = backend
        attn.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16):
            out = run_attention(attn, x, shifted=True, fit="pad")
        out.float().square().mean().backward()
        assert out.dtype == torch.bfloat16
        assert all(parameter.grad.dtype == torch.float32 for parameter in attn.parameters())
        found[backend] = [out.float(), attn.qkv.bias.grad, attn.relative_position_bias_table.grad]
    for wanted, own in zip(*found.values(), strict=True):
        torch.testing.assert_close(own, wanted, atol=0.03 * wanted.abs().max().item(), rtol=0)


def fused_model(**changes: Any) -> SwinBackbone:
    config = tiny_config(embed_dim=16, num_heads=(1, 2), **changes)
    model = noisy(SwinBackbone(config)).to(DEVICE, EXACT)
    model.set_attention("fused")
    return model


def test_a_backbone_compiled_whole_and_checkpointed() -> None:
    x = random(1, 3, 13, 10).to(DEVICE, EXACT)
    model = fused_model()
    oracle = copy.deepcopy(model)
    oracle.set_attention("eager")
    wanted = oracle(x)
    torch.stack([own.square().mean() for own in wanted]).sum().backward()
    for make in (
        lambda own: own,
        lambda own: torch.compile(own, fullgraph=True, backend="aot_eager"),
        lambda own: own.set_checkpointing() or own,
    ):
        own = copy.deepcopy(model)
        found = make(own)(x)
        torch.stack([each.square().mean() for each in found]).sum().backward()
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, **CLOSE)
        for a, b in zip(own.parameters(), oracle.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, **CLOSE)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own tracing looks at it
def test_the_op_keeps_the_rules_of_torch() -> None:
    # schema, fake tensors, autograd registration and tracing with symbolic sizes, as torch itself checks them
    given = [random(2, 5, 4, 48), random(48, seed=1), random(25, 1, seed=2)]
    tensors = [tensor.to(DEVICE).requires_grad_() for tensor in given]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(fused.window_attention, (*tensors, [3, 3, 1, 1, 3, 3, 0], 0.25), test_utils=checks)


def test_where_it_cannot_run_another_back_end_does_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    attn = make_attention((3, 3), width=24)
    attn.backend = "fused"
    x = random(1, 4, 4, 48).to(DEVICE, EXACT)
    with caplog.at_level(logging.WARNING):
        found = run_attention(attn, x, shifted=True, fit="pad")
        run_attention(attn, x, shifted=True, fit="pad")
    assert [record.message for record in caplog.records] == [
        "Fused attention is not used: a head is 24 wide, and it takes 16, 32, 64, 128."
    ]
    attn.backend = "eager"
    torch.testing.assert_close(found, run_attention(attn, x, shifted=True, fit="pad"))
    if DEVICE.type == "cpu":
        monkeypatch.setattr(fused.triton.knobs.runtime, "interpret", False)
        assert "CUDA" in fused.trouble.__wrapped__(DEVICE)


def test_dropout_of_the_weights_is_not_fused() -> None:
    attn = make_attention((3, 3), attn_drop=0.5)
    attn.backend = "fused"
    x = random(1, 4, 4, 32).to(DEVICE, EXACT)
    assert attn.resolve(x) == "fused"
    assert attn.train().resolve(x) == "eager"


def test_a_cpu_never_takes_it_by_itself() -> None:
    assert make_attention((3, 3)).resolve(random(1, 4, 4, 32)) != "fused"


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from swinkit.core import kernels

PLANS = {
    "small": ((1, 7, 7), (0, 3, 3), (1, 7, 7), (1, 7, 7), True, "tf32", 49, 169),
    "large": ((8, 7, 7), (4, 3, 3), (8, 7, 7), (8, 7, 7), False, "tf32", 392, 2535),
}
DATA, SUMS = ("qkv", "pad", "out", "upstream", "qkv_grad"), ("table", "norms", "pad_grad", "bias_grad")
KINDS = {"scale": "fp32", "heads": "i32", "windows": "i32", "images": "i32"}
KINDS |= {"grid": ("i32",) * 3, "padded": ("i32",) * 3}
for kernel in (kernels.forward, kernels.backward):
    for name, plan in PLANS.items():
        kinds = KINDS | dict.fromkeys(DATA, "*bf16") | dict.fromkeys(SUMS, "*fp32")
        signature = {name: kinds.get(name, "constexpr") for name in kernel.arg_names}
        source = ASTSource(kernel, signature, constexprs={"PLAN": plan, "D": 32, "TILE": 64})
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        print(kernel.fn.__name__, name, made.metadata.shared, len(made.asm["cubin"]) > 1000)
"""


def test_kernels_compile_for_a_gpu_where_none_is() -> None:
    """To machine code for Hopper, within an Ampere's shared memory."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [
        [kernel, size] for kernel in ("forward", "backward") for size in ("small", "large")
    ]
    for *_, shared, whole in lines:
        assert int(shared) <= 99 << 10
        assert whole == "True"
