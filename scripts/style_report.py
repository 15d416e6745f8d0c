"""Print signals of how readable the package is, and where words that were replaced remain.

    python scripts/style_report.py             # the table
    python scripts/style_report.py --words     # file and line of every replaced word or name
    python scripts/style_report.py --source OTHER/src/swinkit

The figures are signals for a reader, not limits. Words are looked for in strings and comments, names among
local variables.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[1] / "src" / "swinkit"
LONG = 50  # lines of a function
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TASKS = (
    "Classifier",
    "VideoClassifier",
    "Segmenter",
    "Detector",
    "OpenVocabulary",
    "TwoTowers",
    "Contrastive",
)
KINDS = ("ClassData", "MaskData", "ObjectData", "CaptionData")
WORDS = re.compile(
    r"\b(pictures?|answer(?:s|ed)?|surer|surest|likeliest|anew|the part (?:train|val|test)|verbs?|is told|"
    r"are told|of which|so many|such as are|passed over|shared out|what is given|what is asked|FACTS)\b"
)
NAMES = frozenset([
    "own", "found", "place", "places", "told", "given", "wanted", "one", "kept", "left", "shown", "known",
    "others", "said", "way", "whole", "several",
])  # fmt: skip


def files(source: Path) -> list[Path]:
    """Return the modules of the package."""
    return sorted(source.rglob("*.py"))


def comments(text: str) -> list[tuple[int, str]]:
    """Return line and text of every comment."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def task_branches(tree: ast.AST) -> int:
    """Count isinstance tests on a class of a task or of data, and comparisons with the name of a task."""
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            names = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
            count += bool(names & {*TASKS, *KINDS})
        elif isinstance(node, ast.Compare):
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            count += any(side.endswith(("task.name", "kind.name")) for side in sides)
    return count


def public_names(trees: dict[Path, ast.Module]) -> tuple[int, int]:
    """Count public functions, classes and constants of modules, and those that no other module mentions."""
    mentioned: dict[str, set[Path]] = {}
    for path, tree in trees.items():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names |= {alias.name for node in imports for alias in node.names}
        for name in names:
            mentioned.setdefault(name, set()).add(path)
    defined = [
        (node.name, path)
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    private = sum(not mentioned.get(name, set()) - {path} for name, path in defined)
    return len(defined), private


def remains(source: Path) -> Iterator[str]:
    """Yield place and text of every replaced word in strings and comments, and of every such local name."""
    for path in files(source):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        strings = [
            (node.lineno, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        for line, words in sorted(strings + comments(text)):
            for match in WORDS.finditer(words):
                yield f"{path.relative_to(source)}:{line}: {match[0]}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in NAMES:
                yield f"{path.relative_to(source)}:{node.lineno}: name {node.id}"


def report(source: Path) -> dict[str, str]:
    """Return the table."""
    texts = {path: path.read_text(encoding="utf-8") for path in files(source)}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = sum(text.count("\n") for text in texts.values())
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    lengths = [
        node.end_lineno - node.lineno + 1
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None
    ]
    outside = [tree for path, tree in trees.items() if path.relative_to(source).parts[0] != "tasks"]
    public, private = public_names(trees)
    asserts = [ast.unparse(node.test) for node in nodes if isinstance(node, ast.Assert)]
    folded = sum(isinstance(node, COMPREHENSIONS) for node in nodes)
    conditional = sum(isinstance(node, ast.IfExp) for node in nodes)
    remarks = sum(len(comments(text)) for text in texts.values())
    return {
        "files": f"{len(texts)}",
        "modules at the root": f"{len(list(source.glob('*.py')))}",
        "lines": f"{lines}",
        "median lines of a function": f"{median(lengths):.0f}",
        f"functions over {LONG} lines": f"{sum(length > LONG for length in lengths)}",
        "comprehensions per 1,000 lines": f"{1000 * folded / lines:.1f}",
        "conditional expressions per 1,000 lines": f"{1000 * conditional / lines:.1f}",
        "comments per 100 lines": f"{100 * remarks / lines:.1f}",
        "public functions and classes": f"{public}, used in no other module: {private}",
        "assert isinstance": f"{sum('isinstance(' in test for test in asserts)}",
        "task branches outside tasks": f"{sum(map(task_branches, outside))}",
        "replaced words and names": f"{sum(1 for _ in remains(source))}",
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", action="store_true", help="list replaced words and names")
    parser.add_argument("--source", type=Path, default=SOURCE, help="package to read")
    options = parser.parse_args()
    if options.words:
        print(*remains(options.source), sep="\n")
        return
    for name, value in report(options.source).items():
        print(f"{name:42} {value}")


if __name__ == "__main__":
    main()
