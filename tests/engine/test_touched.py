"""A run folder that somebody has touched: resuming it ends in one sentence of bounded length, or goes on."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import swinkit
from swinkit.config.base import read_yaml
from swinkit.errors import SwinkitError
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin

LONGEST = 700  # characters of a message, the paths in it not counted
Touch = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained(dataset: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs of three, and no previous.ckpt that could stand in. Not to be changed: copy it."""
    out = tmp_path_factory.mktemp("touched") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swinkit.training.callbacks.draw_curves", lambda *_: None)
        patch.setattr("swinkit.training.run._final_figures", lambda *_: {})
        run = swinkit.train(dataset, model=tiny_file, out=out, epochs=2, lr=3e-3, log=(), **QUICK)
    (out / "previous.ckpt").unlink()
    key("epochs", "3")(out)
    return run


def config(change: Callable[[str], str]) -> Touch:
    """Change the text of config.yaml."""

    def touch(run: Path) -> None:
        file = run / "config.yaml"
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")

    return touch


def key(name: str, value: str) -> Touch:
    """Give another value to a key of config.yaml."""
    return config(
        lambda text: "\n".join(
            f"{name}: {value}" if line.startswith(f"{name}:") else line for line in text.splitlines()
        )
    )


def content(name: str, data: bytes) -> Touch:
    """Give a file other content."""
    return lambda run: (run / name).write_bytes(data)


def encoded(name: str, encoding: str, more: str = "") -> Touch:
    """Write a text file in another encoding."""
    return lambda run: (run / name).write_bytes(
        ((run / name).read_text(encoding="utf-8") + more).encode(encoding)
    )


def state(change: Callable[[dict[str, Any]], object]) -> Touch:
    """Change the training state; what `change` returns is saved, if it is no None."""

    def touch(run: Path) -> None:
        values = torch.load(run / "last.ckpt", weights_only=True)
        changed = change(values)
        torch.save(values if changed is None else changed, run / "last.ckpt")

    return touch


def replaced(name: str, value: Any) -> Touch:
    """Replace a part of the training state."""
    return state(lambda values: values.update({name: value}))


def without(name: str) -> Touch:
    """Remove a part of the training state."""
    return state(lambda values: values.pop(name) is None or None)


def tensors(change: Callable[[torch.Tensor], torch.Tensor], name: str = "state_dict") -> Touch:
    """Change the tensors of the model or of its average."""
    return state(
        lambda values: values[name].update({key: change(value) for key, value in values[name].items()})
    )


def moments(change: Callable[[torch.Tensor], torch.Tensor]) -> Touch:
    """Change the optimiser's moments."""

    def touch(values: dict[str, Any]) -> None:
        for entry in values["optimizer_states"][0]["state"].values():
            entry["exp_avg"] = change(entry["exp_avg"])

    return state(touch)


def position(value: Any) -> Touch:
    """Change where in the data the state stands."""
    return state(
        lambda values: values["loops"]["fit_loop"]["state_dict"].update({"combined_loader": [value]})
    )


def foreign(run: Path) -> None:
    """A pickle that would run code."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(run / "evil"),)

    torch.save({"state_dict": Evil()}, run / "last.ckpt")


def zipped(run: Path) -> None:
    with zipfile.ZipFile(run / "last.ckpt", "w") as archive:
        archive.writestr("readme.txt", "hello")


TOUCHES: dict[str, Touch] = {
    # config.yaml
    "fewer epochs": key("epochs", "1"),
    "another model": key("model", "swin_nano"),
    "another window": key("window", "2"),
    "no model": key("model", "nothing.safetensors"),
    "no data": key("data", "/nowhere"),
    "data with a zero byte": key("data", '"a\\0b"'),
    "data that are a file": lambda run: key("data", str(run / "last.safetensors"))(run),
    "another task": key("task", "segment"),
    "a task for other data": key("task", "contrastive"),
    "nested values": key("epochs", "{a: {b: {c: [1, 2, {d: 3}]}}}"),
    "deep YAML": config(lambda text: text + "deep: " + "[" * 5000 + "]" * 5000),
    "long unknown key": config(lambda text: text + f"\n{'x' * 100_000}: 1\n"),
    "long value": key("epochs", "x" * 100_000),
    "long nested value": key("augmentation", "{" + ", ".join(f"k{i}: {i}" for i in range(9000)) + "}"),
    "unknown augmentation": key("augmentation", "{hflop: 1}"),
    "augmentation of another type": key("augmentation", "[1, 2]"),
    "a list": content("config.yaml", b"- 1\n- 2\n"),
    "empty config": content("config.yaml", b""),
    "binary config": content("config.yaml", bytes(range(256)) * 20),
    "Latin-1 config": encoded("config.yaml", "latin-1", "\ndata: /Bilder/gr\xfcn\n"),
    "UTF-16 config with junk": encoded("config.yaml", "utf-16", "\nepochs: ["),
    "long broken YAML": content("config.yaml", b"epochs: " + b"[" * 300 + b"x" * 50_000),
    "optimiser groups": key("layer_decay", "0.5"),
    "stages frozen since": key("freeze", "1"),
    "a text tower": key("text", "clip_b"),
    # metrics.csv
    "words in metrics": content("metrics.csv", b"epoch,step\nhello,world\n"),
    "metrics without epochs": content("metrics.csv", b"a,b\n1,2\n"),
    "metrics with more columns": content("metrics.csv", b"epoch\n1,2,3\n"),
    "Latin-1 metrics": content("metrics.csv", b"epoch,gr\xfcn\n0,1\n"),
    "binary metrics": content("metrics.csv", bytes(range(256)) * 20),
    "metrics with NaN epochs": content("metrics.csv", b"epoch\nnan\n"),
    "long metrics": content("metrics.csv", b"epoch\n" + b"x" * 200_000),
    # split.csv
    "binary split": content("split.csv", bytes(range(256)) * 20),
    "split without columns": content("split.csv", b"a,b\n1,2\n"),
    "empty split": content("split.csv", b""),
    "split of other files": content("split.csv", b"path,label,split\nnothing.png,x,train\n"),
    "Latin-1 split": content("split.csv", b"path,label,split\ngr\xfcn.png,x,train\n"),
    # last.ckpt
    "no bytes": content("last.ckpt", b""),
    "text": content("last.ckpt", b"hello"),
    "cut short": lambda run: (run / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes()[:5000]),
    "a zip of something": zipped,
    "a pickle": content("last.ckpt", pickle.dumps({"state_dict": {}})),
    "a foreign pickle": foreign,
    "an empty dict": state(lambda _: {}),
    "a list of tensors": state(lambda _: [torch.zeros(2)]),
    "a number": state(lambda _: 7),
    "only weights": state(lambda values: values["state_dict"]),
    "weights under state_dict": state(lambda values: {"state_dict": values["state_dict"]}),
    "another task's names": state(
        lambda values: values.update(state_dict={f"task.x.{k}": v for k, v in values["state_dict"].items()})
    ),
    "a tensor missing": state(lambda values: values["state_dict"].popitem() and None),
    "a tensor more": state(lambda values: values["state_dict"].update({"task.more": torch.zeros(1)})),
    "a long name": state(lambda values: values["state_dict"].update({"x" * 50_000: torch.zeros(1)})),
    "other shapes": tensors(lambda tensor: tensor[None]),
    "NaN weights": tensors(lambda tensor: tensor.float() * float("nan")),
    "weights that are numbers": tensors(lambda tensor: 1.0),  # type: ignore[arg-type, return-value]
    "NaN average": tensors(lambda tensor: tensor * float("nan"), "average"),
    "no average": without("average"),
    "an average of other shapes": tensors(lambda tensor: tensor[None], "average"),
    "no weights": without("state_dict"),
    "no optimiser": without("optimizer_states"),
    "an empty optimiser": replaced("optimizer_states", []),
    "an optimiser without moments": state(lambda v: v["optimizer_states"][0].update(state={})),
    "an optimiser without groups": state(lambda v: v["optimizer_states"][0].update(param_groups=[])),
    "an optimiser of words": replaced("optimizer_states", ["hello"]),
    "moments of other shapes": moments(lambda tensor: tensor[None]),
    "NaN moments": moments(lambda tensor: tensor * float("nan")),
    "no schedule": replaced("lr_schedulers", []),
    "a schedule of words": replaced("lr_schedulers", ["hello"]),
    "no loops": without("loops"),
    "empty loops": replaced("loops", {}),
    "loops without positions": replaced("loops", {"fit_loop": {"state_dict": {}}}),
    "a negative position": position({"epoch": -1, "batches": 0, "whole": 16}),
    "a position of words": position({"epoch": "a", "batches": "b", "whole": "c"}),
    "a position far on": position({"epoch": 10**12, "batches": 0, "whole": 16}),
    "no callbacks": without("callbacks"),
    "callbacks of words": replaced("callbacks", {"Checkpoint": "x", "ModelFiles": 3}),
    "no losses": without("losses"),
    "losses of another shape": replaced("losses", torch.zeros(5)),
    "an epoch of words": replaced("epoch", "two"),
    "no steps": without("global_step"),
    "a newer Lightning": replaced("pytorch-lightning_version", "99.0"),
    "no version": without("pytorch-lightning_version"),
}
GOES_ON = {"a newer Lightning"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize("touch", TOUCHES)
def test_a_touched_run_folder_ends_in_one_sentence(touch: str, trained: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    TOUCHES[touch](run)
    if touch in GOES_ON:
        swinkit.train(resume=run)
        return
    with pytest.raises(SwinkitError) as error:
        swinkit.train(resume=run)
    text = str(error.value).replace(str(tmp_path), "")
    assert "\n" not in text
    assert len(text) < LONGEST, text
    assert not (run / "evil").exists()


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swinkit.training.callbacks.draw_curves", lambda *_: None)
    monkeypatch.setattr("swinkit.training.run._final_figures", lambda *_: {})


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(encoding: str, trained: Run, tmp_path: Path) -> None:
    """As editors of other systems save them."""
    run = shutil.copytree(trained.path, tmp_path / "run")
    for name in ("config.yaml", "metrics.csv", "split.csv"):
        encoded(name, encoding)(run)
    expected = read_yaml(trained.path / "config.yaml")
    assert read_yaml(run / "config.yaml") == expected
    swinkit.train(resume=run)


@pytest.mark.usefixtures("quick_figures")
def test_a_run_without_its_split_makes_it_again(trained: Run, tmp_path: Path) -> None:
    """As after a kill between the first two files of a run."""
    run = shutil.copytree(trained.path, tmp_path / "run")
    (run / "split.csv").unlink()
    swinkit.train(resume=run)
    assert (run / "split.csv").read_text() == (trained.path / "split.csv").read_text()


def test_the_command_ends_so_too(trained: Run, tmp_path: Path, swin: Swin) -> None:
    run = shutil.copytree(trained.path, tmp_path / "run")
    TOUCHES["fewer epochs"](run)
    ended = swin("train", "--resume", run)
    assert ended.code == 1
    assert "has been trained for 2 epochs, and config.yaml says epochs=1" in ended.err
    assert "Traceback" not in ended.err
