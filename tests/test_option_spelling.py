"""Messages name options as the user writes them."""

import pytest

import swinkit
from swinkit.config.option_names import command_line, spelled
from swinkit.errors import ConfigError


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("`find` is for detectors.", "--find is for detectors."),
        ("`val_fraction` is 2.", "--val-fraction is 2."),
        ("`epochs='0'` does not fit.", "--epochs 0 does not fit."),
        ("`value_range=(0.0, 4095.0)` would", "--value-range 0.0 4095.0 would"),
        ("`copy_paste` needs shapes.", "--augmentation.copy-paste needs shapes."),
        ("`augmentation.hflip` is for", "--augmentation.hflip is for"),
        ("choose another `out`, or `overwrite`", "choose another --out, or --overwrite"),
        ("write `classes: {0: sky}` in `dataset.yaml`", "write `classes: {0: sky}` in `dataset.yaml`"),
        ("`swin train --resume RUN`", "`swin train --resume RUN`"),
    ],
)
def test_options_are_spelled_as_typed(message, typed):
    assert spelled(message) == message  # in Python
    with command_line():
        assert spelled(message) == typed
    assert spelled(message) == message


def test_errors_of_both_ways_in(swin, tmp_path):
    model = swinkit.create("swin_pico", num_classes=2)
    swinkit.save(model, tmp_path / "m.safetensors")
    (tmp_path / "a.png").write_bytes(b"")
    told = swin("predict", tmp_path / "m.safetensors", tmp_path / "a.png", "--tile", "32")
    assert (told.code, told.err.split()[0]) == (2, "--tile")
    told = swin("predict", tmp_path / "m.safetensors", tmp_path / "a.png", "--batch-size", "0")
    assert told.err.startswith("--batch-size 0 does not fit")
    with pytest.raises(ConfigError, match=r"^`tile` is for"):
        swinkit.predict(tmp_path / "m.safetensors", tmp_path / "a.png", tile=32)
