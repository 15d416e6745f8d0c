"""The table of measured figures (benchmarks/figures.yaml) agrees with README and docs."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GROUPS = yaml.safe_load((ROOT / "benchmarks" / "figures.yaml").read_text(encoding="utf-8"))
STEPS = [step for group in GROUPS.values() for step in group["steps"]]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def plain(text: str) -> str:
    """Join continued and wrapped lines: one space between words."""
    return " ".join(text.replace("\\\n", " ").split())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["run"][:60])
def test_command_and_figures_stand_on_their_page(step):
    if "page" in step:
        command = plain(step["run"])
        assert command in plain((ROOT / step["page"]).read_text(encoding="utf-8"))
    for figure in step.get("figures", []):
        assert plain(figure["text"]) in plain((ROOT / figure["page"]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_bold_percentage_is_listed(page):
    listed = " ".join(figure["text"] for step in STEPS for figure in step.get("figures", []))
    for phrase in re.findall(r"\*\*([^*]*\d[^*]*%)\*\*", page.read_text(encoding="utf-8")):
        for number in re.findall(r"\d+\.\d+", phrase):
            assert number in listed, f"{page.name}: {phrase} is not in benchmarks/figures.yaml"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_benchmark_command_is_listed(page):
    commands = plain(" ; ".join(step["run"] for step in STEPS))
    for script in re.findall(r"python (benchmarks/\w+\.py)", page.read_text(encoding="utf-8")):
        if script != "benchmarks/gpu.py":  # needs a GPU; its page has no figure
            assert script in commands, f"{page.name}: {script} is not in benchmarks/figures.yaml"
