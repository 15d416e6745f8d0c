"""The walls of the house: who may import whom, and what the outside sees."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import swinkit

SOURCE = Path(swinkit.__file__).parent
PUBLIC = [
    "__version__", "backbone", "benchmark", "calibrate", "check_data", "convert", "convert_data", "create",
    "dry_run", "embed", "evaluate", "inspect", "list_models", "load", "optimize", "predict", "save",
    "shard_data", "split_data", "to_dialect", "train",
]  # fmt: skip


def imports_of(source: str) -> set[str]:
    """Every module that a file imports, anywhere in it; `from a import b` counts as a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide what is imported"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_below(*parts: str) -> list[Path]:
    files = sorted(SOURCE.joinpath(*parts).rglob("*.py"))
    assert files, parts
    return files


def strangers(path: Path, allowed: tuple[str, ...]) -> set[str]:
    """Imports beyond the standard library and `allowed` packages."""

    def known(name: str) -> bool:
        return name.split(".")[0] in sys.stdlib_module_names or within(name, allowed)

    return {name for name in imports_of(path.read_text(encoding="utf-8")) if not known(name)}


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_checker_sees_a_breach(tmp_path: Path) -> None:
    path = tmp_path / "breach.py"
    path.write_text("import os\nimport torch.nn as nn\ndef f():\n    from swinkit import heads\n")
    assert strangers(path, ("torch",)) == {"swinkit.heads"}
    assert strangers(path, ("torch", "swinkit.heads")) == set()


@pytest.mark.parametrize("path", files_below("core"), ids=lambda path: path.name)
def test_core_stands_alone(path: Path) -> None:
    allowed = ("torch", "triton", "swinkit.core", "swinkit.features", "swinkit.errors")
    assert strangers(path, allowed) == set()


@pytest.mark.parametrize("path", files_below("heads"), ids=lambda path: path.name)
def test_heads_never_learn_what_swin_is(path: Path) -> None:
    allowed = ("torch", "torchvision.ops", "swinkit.heads", "swinkit.features", "swinkit.errors")
    assert strangers(path, allowed) == set()


@pytest.mark.parametrize("path", files_below("engine"), ids=lambda path: path.name)
def test_engine_knows_tasks_by_their_base_only(path: Path) -> None:
    found = imports_of(path.read_text(encoding="utf-8"))
    assert not {name for name in found if within(name, ("swinkit.deploy",))}
    tasks = {name for name in found if within(name, ("swinkit.tasks",))}
    assert not {name for name in tasks if not within(name, ("swinkit.tasks.base",))}
    assert not {name for name in found if within(name, ("swinkit.heads", "swinkit.models"))}


def test_deploy_never_imports_engine() -> None:
    for path in (SOURCE / "deploy").rglob("*.py"):
        found = imports_of(path.read_text(encoding="utf-8"))
        assert not {name for name in found if within(name, ("swinkit.engine",))}, path


def fresh(code: str) -> str:
    """Run code in a new interpreter and give what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


HEAVY = ("pytorch_lightning", "lightning", "transformers", "timm", "torchmetrics", "matplotlib")


def test_importing_swinkit_and_its_api_stays_light() -> None:
    code = "import sys, swinkit; {}; print([name for name in {!r} if name in sys.modules])"
    assert fresh(code.format("pass", (*HEAVY, "torch"))).strip() == "[]"
    assert fresh(code.format("swinkit.create, swinkit.train", HEAVY)).strip() == "[]"


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['swin', {!r}]\n"
        "from swinkit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, [name for name in {!r} if name in sys.modules])"
    )
    for command in ("--help", "--version"):
        last = fresh(code.format(command, ("torch", "torchvision", *HEAVY))).splitlines()[-1]
        assert last == "0 []"


def test_help_is_quick() -> None:
    """Beside what its command line and its tables alone take to import, on whatever machine."""
    swin = shutil.which("swin", path=Path(sys.executable).parent)
    assert swin
    own, bare = [], []
    for _ in range(3):
        own.append(cpu_seconds([swin, "--help"]))
        bare.append(cpu_seconds([sys.executable, "-c", "import cyclopts, rich.console, rich.table"]))
    assert min(own) < 2.5 * min(bare)


def cpu_seconds(command: list[str]) -> float:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_public_names_are_frozen() -> None:
    assert swinkit.__all__ == PUBLIC
    assert dir(swinkit) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(swinkit, name)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        swinkit.trian  # noqa: B018


def calls_print(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno


@pytest.mark.parametrize("path", files_below(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_source_is_finished(path: Path) -> None:
    assert not list(calls_print(path))
    text = path.read_text(encoding="utf-8")
    assert not [word for word in ("TODO", "FIXME", "XXX", "breakpoint(") if word in text]
