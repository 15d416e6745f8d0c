"""The walls of the house: who may import whom, and what the outside sees."""

from __future__ import annotations

import ast
import graphlib
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


ROOT_MODULES = 13
LAYERS = (
    (
        "errors",
        "files",
        "text_files",
        "labels",
        "features",
        "hardware",
        "progress",
        "distributed",
        "rle",
        "config",
    ),
    ("core", "heads", "towers"),
    ("data",),
    ("weights", "visualize"),
    ("results",),
    ("metrics",),
    ("tasks",),
    ("models",),
    ("deploy",),
    ("evaluation", "inference"),
    ("training", "explain", "serving", "bench", "recipes"),
    ("api",),
    ("cli",),
)
"""From the ground up: a module imports its own layer and those below."""
LAYER_OF = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = {
    ".".join(("swinkit", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}


def modules_imported(source: str) -> set[str]:
    """Modules of the package that a file imports, anywhere in it."""
    names = {name for name in imports_of(source) if within(name, ("swinkit",))}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def layer(module: str) -> int | None:
    """The height of a module; None for the package itself and its entry point."""
    name = module.split(".")[1] if "." in module else ""
    return None if name in ("", "__main__", "_version") else LAYER_OF[name]


def upward(module: str, imported: set[str]) -> list[str]:
    heights = {name: layer(name) for name in imported}
    own = layer(module)
    return [name for name, height in heights.items() if None not in (own, height) and height > own]


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module: str) -> None:
    assert upward(module, modules_imported(MODULES[module].read_text(encoding="utf-8"))) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn; empty if none do."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_between_modules() -> None:
    graph = {name: modules_imported(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    package = "swinkit"  # imports its API when a name is first used
    assert circle({name: found - {package, name} for name, found in graph.items() if name != package}) == []


def test_the_checkers_see_breaches() -> None:
    assert upward("swinkit.tasks.base", {"swinkit.training.run", "swinkit.data.batch"}) == [
        "swinkit.training.run"
    ]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert modules_imported("def f():\n    from swinkit.data import batch") == {"swinkit.data.batch"}


def test_the_root_is_small_and_folders_say_what_belongs_there() -> None:
    assert len(list(SOURCE.glob("*.py"))) <= ROOT_MODULES
    for path in SOURCE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize(
    "module",
    [f"training.{name}" for name in (
        "callbacks", "checkpoints", "ema", "faults", "fit", "launch", "loggers", "module", "optimizer",
        "plan", "progress", "run_folder",
    )] + ["evaluation.loop", "distributed"],
)  # fmt: skip
def test_loops_know_tasks_by_their_base_only(module: str) -> None:
    found = imports_of(MODULES[f"swinkit.{module}"].read_text(encoding="utf-8"))
    assert not {name for name in found if within(name, ("swinkit.deploy",))}
    tasks = {name for name in found if within(name, ("swinkit.tasks",))}
    assert not {name for name in tasks if not within(name, ("swinkit.tasks.base",))}
    assert not {name for name in found if within(name, ("swinkit.heads", "swinkit.models"))}


def test_deploy_never_imports_training() -> None:
    for path in (SOURCE / "deploy").rglob("*.py"):
        found = imports_of(path.read_text(encoding="utf-8"))
        assert not {name for name in found if within(name, ("swinkit.training",))}, path


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
        "from swinkit.cli.app import main\n"
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
