"""Peak memory of loading a checkpoint as large as Swin-L at 384², as a multiple of the file.

    python benchmarks/memory.py

Method. Each file is written once with random weights. A fresh process then imports swinkit, notes its
resident memory, loads the file, reads every weight once, and notes its peak (VmHWM): the peak, and the growth
over the import, are given as multiples of the file's size. Mapped pages of the file count as memory.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("ours.safetensors", "microsoft.pth", "torchvision.pth", "huggingface")
CHILD = """
import sys, swinkit, swinkit.models.build
def status(key):
    line = next(l for l in open("/proc/self/status") if l.startswith(key + ":"))
    return int(line.split()[1]) * 1024
before = status("VmRSS")
model = swinkit.load(sys.argv[1])
sum(float(p.detach().sum()) for p in model.parameters())
print(before, status("VmHWM"))
"""


def write(folder: Path) -> None:
    import swinkit
    from swinkit.models.convert import convert_file

    ours = swinkit.save(swinkit.create("swin_l_384"), folder / KINDS[0])
    for name in KINDS[1:]:
        convert_file(ours, folder / name, to=name.removesuffix(".pth"))


def size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        print("| file | MB | peak ÷ file | growth ÷ file |\n|---|---|---|---|")
        for name in KINDS:
            path = Path(folder, name)
            command = [sys.executable, "-c", CHILD, str(path)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            before, peak = map(int, out.split())
            whole = size(path)
            print(f"| {name} | {whole / 1e6:.0f} | {peak / whole:.2f} | {(peak - before) / whole:.2f} |")
    print(f"\nswin_l_384, {platform.processor() or platform.machine()}; `python benchmarks/memory.py`")


if __name__ == "__main__":
    main()
