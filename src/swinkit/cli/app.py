"""The command line: which verbs there are, and how each ends. `swin --help` imports none of them."""

from __future__ import annotations

import io
import sys

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from swinkit._version import __version__
from swinkit.config.option_names import command_line, spelled
from swinkit.errors import ConfigError, InterruptedRunError, SwinkitError, leave

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

VERBS = {
    "train": "Train on classes, clips or masks; ends with its accuracy, pictures, and a file that predicts.",
    "evaluate": "Measure a model on a data set; evaluation.json and pictures go to the run folder or --out.",
    "predict": "Name what pictures show; exit code 1 where one of them could not be read.",
    "embed": "Write names, or what examples show, as a vocabulary that open-vocabulary detectors look for.",
    "calibrate": "Pick the score from which on each name of a vocabulary counts, by a few labelled pictures.",
    "models": "List architectures with size and cost, and published weights with figure and licence.",
    "convert": "Write weights under another ecosystem's names, or as our own self-describing file.",
    "inspect": "Say what a weights file is: dialect, architecture, task, classes.",
    "benchmark": "Measure latency, throughput and memory, by batch, size, precision and runtime.",
    "demo": "Train a small Swin on real pictures that come along; a few minutes on two cores.",
}

app = App(
    name="swin",
    help="Swin transformers: train, evaluate, predict.",
    version=__version__,
    help_format="plaintext",  # markdown would take 60 ms to import
    default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
    suppress_keyboard_interrupt=False,
)
MODULES = {"embed": "vocabulary", "calibrate": "vocabulary", "benchmark": "benchmark", "predict": "predict"}
for _verb, _help in VERBS.items():
    app.command(f"swinkit.cli.{MODULES.get(_verb, 'commands')}:{_verb}", help=_help)
data = App(
    name="data",
    help="Look at data sets before training on them, split, pack and convert them.",
    help_format="plaintext",
)
data.command(
    "swinkit.cli.data:data_check",
    name="check",
    help="Read every picture; exit code 1 where one is broken, or stands in two parts or two classes.",
)
data.command(
    "swinkit.cli.data:data_shard",
    name="shard",
    help="Write tar files of many pictures each (WebDataset), where small files are slow to read.",
)
data.command(
    "swinkit.cli.data:data_convert",
    name="convert",
    help="Write pictures with boxes in another form: COCO, YOLO, Pascal VOC or CSV.",
)
data.command(
    "swinkit.cli.data:data_split",
    name="split",
    help="Draw a validation and a test split into a folder that training takes; no image is copied.",
)
app.command(data)
compare = App(
    name="compare", help="Models beside those that they are published with.", help_format="plaintext"
)
for _table, _help in {
    "classification": "The published ImageNet-1K table: parameters, MACs, images a second beside Swin-T's.",
    "segmentation": "The published ADE20K table: parameters, MACs and images a second of every row at 512².",
    "scaling": "Time and memory of Swin and of a ViT over the side of the picture, beside the formulas.",
}.items():
    compare.command(f"swinkit.cli.benchmark:compare_{_table}", name=_table, help=_help)
app.command(compare)
app.register_install_completion_command(add_to_startup=False)


def main() -> None:
    """Run the command line; every mistake ends in one sentence and an exit code."""
    _escape_output()
    with command_line():
        try:
            code = app(exit_on_error=False, print_error=False, result_action="return_value")
        except CycloptsError as error:
            _fail(_explained(error), MISUSED)
        except ConfigError as error:
            _fail(str(error), MISUSED)
        except InterruptedRunError as error:
            _fail(str(error), 128 + error.signal)  # as shells count
        except KeyboardInterrupt:
            _fail("Stopped.", INTERRUPTED)
        except SwinkitError as error:
            _fail(str(error), FAILED)
        except BrokenPipeError:  # the reader of our output has left, as `swin … | head` does
            sys.stderr.close()
            sys.exit(FAILED)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror}; check access rights and the room on the disk.", FAILED)
    leave(code if isinstance(code, int) else 0)


def _escape_output() -> None:
    """Escape what the encoding of the screen or file lacks: names may hold any letter, and any byte."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explained(error: CycloptsError) -> str:
    from pydantic import ValidationError

    from swinkit.config.base import explain

    cause = error.__cause__
    return explain(cause) if isinstance(cause, ValidationError) else str(error)


def _fail(sentence: str, code: int) -> None:
    Console(stderr=True).print(spelled(sentence), style="red", highlight=False, markup=False, soft_wrap=True)
    leave(code)
