r"""Names that no picture has taught: drawn scenes of colours and shapes, of which some pairs are held out.

python examples/colours_and_shapes.py draw DATA
swin train DATA/pairs/pairs.csv --model owl_swin_nano --text nano --contrast clip --img-size 64 \
    --drop-path 0 --out PAIRS
swin train DATA/scenes --model PAIRS --img-size 160 --prompts "a {}" --text-lr 0.1 --batch-size 8 --lr 5e-4 \
    --drop-path 0 --augmentation.no-distortion --augmentation.resizing none --out RUN
swin evaluate RUN DATA/test --queries DATA/names.txt --novel DATA/unseen.txt
python examples/colours_and_shapes.py chance DATA/random.safetensors --dim 128
swin evaluate RUN DATA/test --queries DATA/random.safetensors --novel DATA/unseen.txt
python examples/colours_and_shapes.py figure RUN DATA unseen.png

`draw` makes, from one seed, DATA/pairs (single objects, with what is said of them), DATA/scenes (boxes to
learn from) and DATA/test: other scenes, in which the held-out pairs are too, with a part train of which
one-shot evaluation draws its examples. DATA/unseen.txt names the pairs held out: they are in no picture and
no caption of pairs and scenes, but each colour and each shape is. `chance` writes a vocabulary of random
queries: a detector that is asked by these finds the boxes, and guesses what they are.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

import swinkit
from swinkit.results import Detections
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.visualize.canvas import save_image
from swinkit.visualize.grid import Panel, grid

COLOURS = {
    "red": (214, 40, 40), "orange": (244, 140, 30), "yellow": (250, 220, 50), "green": (40, 160, 70),
    "blue": (40, 90, 220), "purple": (140, 60, 180), "white": (245, 245, 245), "black": (20, 20, 20),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
UNSEEN = tuple(
    f"{colour} {shape}" for colour, shape in zip(COLOURS, (*SHAPES, *SHAPES[:2]), strict=True)
)  # one of each colour
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
SEEN = tuple(name for name in NAMES if name not in UNSEEN)
SMOOTH = 4  # times that shapes are drawn larger than they become
SIDES = {"pairs": 64, "scenes": 160}
COUNTS = {"pairs": 3000, "scenes": 1200, "examples": 160, "test": 300}
Box = tuple[int, int, int, int]


def main(verb: str, *arguments: str) -> None:
    """Do what is asked for."""
    if verb == "draw":
        draw(Path(arguments[0]))
    elif verb == "chance":
        dim = int(arguments[arguments.index("--dim") + 1])
        embeddings = torch.randn(len(NAMES), dim, generator=torch.Generator().manual_seed(0))
        Vocabulary(NAMES, embeddings / embeddings.norm(dim=1, keepdim=True)).save(arguments[0])
    else:
        figure(*arguments)


def draw(data: Path) -> None:
    """All three sets, and the names."""
    rng = np.random.default_rng(0)
    data.mkdir(parents=True)
    (data / "names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (data / "unseen.txt").write_text("".join(f"{name}\n" for name in UNSEEN))
    (data / "pairs").mkdir()
    with (data / "pairs" / "pairs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "caption"))
        for i in range(COUNTS["pairs"]):
            page, ((name, _),) = scene(rng, SIDES["pairs"], SEEN, most=1)
            page.save(data / "pairs" / f"{i:05d}.png")
            table.writerow((f"{i:05d}.png", f"a {name}"))
    write_coco(data / "scenes", {"train": COUNTS["scenes"], "val": 100}, SEEN, rng)
    write_coco(data / "test", {"train": COUNTS["examples"], "val": COUNTS["test"]}, NAMES, rng)


def write_coco(folder: Path, parts: dict[str, int], names: tuple[str, ...], rng: np.random.Generator) -> None:
    """Scenes with their boxes, in COCO's form."""
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    (folder / "annotations").mkdir(parents=True)
    for part, count in parts.items():
        (folder / part).mkdir()
        images, boxes = [], []
        for i in range(count):
            page, objects = scene(rng, SIDES["scenes"], names, most=4)
            page.save(folder / part / f"{i:05d}.png")
            images.append({"id": i, "file_name": f"{i:05d}.png", "width": page.width, "height": page.height})
            for name, (left, top, right, bottom) in objects:
                box = [left, top, right - left, bottom - top]
                boxes.append({
                    "id": len(boxes) + 1, "image_id": i, "category_id": names.index(name) + 1, "bbox": box,
                    "area": box[2] * box[3], "iscrowd": 0,
                })  # fmt: skip
        content = {"images": images, "annotations": boxes, "categories": categories}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))


def scene(
    rng: np.random.Generator, side: int, names: tuple[str, ...], *, most: int
) -> tuple[Image.Image, list[tuple[str, Box]]]:
    """A square page of soft noise with up to so many objects that do not overlap, and their boxes."""
    noise = rng.integers(60, 200, (4, 4, 3), dtype=np.uint8)
    page = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    objects: list[tuple[str, Box]] = []
    for _ in range(20 * most):
        if len(objects) == (1 if most == 1 else int(rng.integers(2, most + 1))):
            break
        size = int(rng.integers(24, 56)) if most == 1 else int(rng.integers(32, 72))
        left, top = (int(value) for value in rng.integers(0, side - size, 2))
        box = (left, top, left + size, top + size)
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for _, b in objects):
            continue
        name = names[int(rng.integers(len(names)))]
        paint(page, name, box, rng)
        objects.append((name, box))
    return page, objects


def paint(page: Image.Image, name: str, box: Box, rng: np.random.Generator) -> None:
    """One object that fills its box."""
    colour, shape = name.split()
    side = SMOOTH * (box[2] - box[0])
    mask = Image.new("L", (side, side))
    pen, last = ImageDraw.Draw(mask), side - 1
    if shape == "square":
        pen.rectangle((0, 0, last, last), 255)
    elif shape == "circle":
        pen.ellipse((0, 0, last, last), 255)
    elif shape == "ring":
        pen.ellipse((0, 0, last, last), 255)
        pen.ellipse((side * 0.28, side * 0.28, last - side * 0.28, last - side * 0.28), 0)
    elif shape == "triangle":
        pen.polygon(((0, last), (last, last), (last / 2, 0)), 255)
    elif shape == "cross":
        pen.rectangle((side * 0.34, 0, side * 0.66, last), 255)
        pen.rectangle((0, side * 0.34, last, side * 0.66), 255)
    else:
        corners = [(0.5 if i % 2 == 0 else 0.21, math.pi * (i / 5 - 0.5)) for i in range(10)]
        x, y = (np.array([r * turn(a) for r, a in corners]) for turn in (math.cos, math.sin))
        x, y = ((own - own.min()) / (own.max() - own.min()) * last for own in (x, y))
        pen.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), 255)
    mask = mask.resize((side // SMOOTH, side // SMOOTH), Image.Resampling.LANCZOS)
    shade = tuple(int(min(255, max(0, value + rng.integers(-12, 13)))) for value in COLOURS[colour])
    page.paste(shade, box[:2], mask)


def figure(run: str, data: str, out: str) -> None:
    """Scenes in which the model is asked for held-out names alone, and for what an example shows."""
    model = swinkit.load(run)
    told = json.loads((Path(data) / "test" / "annotations" / "instances_val.json").read_text())
    wanted = {NAMES.index(name) + 1 for name in UNSEEN}
    there = [own["image_id"] for own in told["annotations"] if own["category_id"] in wanted]
    shown = sorted({number for number in there if there.count(number) > 1})[:4]
    files = [Path(data) / "test" / "val" / f"{number:05d}.png" for number in shown]
    pictures = [Image.open(file).resize((320, 320), Image.Resampling.LANCZOS) for file in files]
    found = model.find(files, list(UNSEEN), score=0.2)
    scenes, predictions = [], []
    for image, result in zip(pictures, found, strict=True):
        assert isinstance(result, Detections)
        scenes.append(Panel(image, ("scene",)))
        predictions.append(Panel(result.draw(image), ("prediction",)))
    save_image(grid([scenes, predictions]), Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
