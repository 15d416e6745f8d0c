"""Programs beside the package import what there is."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    path for folder in ("benchmarks", "examples", "scripts") for path in (ROOT / folder).glob("*.py")
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_imports_of_the_package_exist(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "swinkit":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
