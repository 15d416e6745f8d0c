"""List every measured figure of README and docs with its command, or run the commands again.

    python benchmarks/figures.py                          # the list: command, figure, page
    python benchmarks/figures.py cifar10 motions --data DATA --out WORK

Method. `figures.yaml` holds one group per experiment. The named groups run in that order, each in WORK/GROUP,
with the data sets unpacked below DATA. Figures that a command writes to a JSON file are printed beside those
of the page; compare the others with what the command prints. A group that fails does not stop the next one;
the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".yaml")


def load_groups() -> dict[str, dict[str, Any]]:
    """Read the table: group name → minutes, inputs, results, steps."""
    groups: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return groups


def print_list(groups: dict[str, dict[str, Any]]) -> None:
    """Print command, figure and page of every row."""
    for name, group in groups.items():
        print(f"\n{name} (about {group['minutes']} minutes)")
        for step in group["steps"]:
            print(f"  {step['run']}")
            for figure in step.get("figures", []):
                print(f"      {figure['text']}   {figure['page']}")


def resolved(command: str, group: dict[str, Any], data: Path, out: Path) -> str:
    """Replace the words that stand for data, for other groups' results and for files of the repository."""
    paths = {word: data / path for word, path in group.get("inputs", {}).items()}
    paths |= {word: out / path for word, path in group.get("results", {}).items()}
    paths |= {folder: ROOT / folder for folder in ("benchmarks", "examples")}
    for word, path in paths.items():
        command = re.sub(rf"(?<![\w/.-]){re.escape(word)}(?=[/\s]|$)", str(path), command)
    return command.replace("make demo", f"make -C {ROOT} demo")


def run_group(name: str, group: dict[str, Any], data: Path, out: Path) -> bool:
    """Run the steps of a group and print measured beside documented figures; return False after a failure."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for step in group["steps"]:
        command = resolved(step["run"], group, data, out)
        print(f"\n$ {command}", flush=True)
        start = time.perf_counter()
        code = subprocess.run(command, shell=True, cwd=folder, env=environment, check=False).returncode
        print(f"[{name}: {(time.perf_counter() - start) / 60:.1f} minutes, exit code {code}]")
        if code:
            return False
        for figure in step.get("figures", []):
            measured = "see above"
            if "metric" in figure:
                result = Path(resolved(step["result"], group, data, out))
                metrics = json.loads((folder / result).read_text(encoding="utf-8"))["metrics"]
                measured = f"{metrics[figure['metric']]:.2f}"
            print(f"[{figure['page']}: {figure['text']} → {measured}]", flush=True)
    return True


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help="groups to run; none: print the list")
    parser.add_argument("--data", type=Path, help="folder with the unpacked data sets")
    parser.add_argument("--out", type=Path, help="folder to work in")
    options = parser.parse_args()
    groups = load_groups()
    if not options.groups:
        print_list(groups)
        return 0
    unknown = [name for name in options.groups if name not in groups]
    if unknown or options.out is None:
        parser.error(f"unknown groups: {unknown}; choose from {list(groups)}" if unknown else "give --out")
    needs_data = any(groups[name].get("inputs") for name in options.groups)
    if needs_data and options.data is None:
        parser.error("give --data")
    data, out = (options.data or options.out).resolve(), options.out.resolve()
    failed = [name for name in options.groups if not run_group(name, groups[name], data, out)]
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
