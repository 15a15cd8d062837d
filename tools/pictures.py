"""The pictures of README and docs, made from a run: `python tools/pictures.py [RUN_DIR]` (default: reports/sample).

Needs pdftoppm (poppler-utils) and Chromium. Each picture holds the SHA-256 of the file that it shows, so that a picture
which is older than the sample is known.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, PngImagePlugin

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "reports" / "sample"
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Picture: file that it shows, page of it, part of the page in hundredths (left, top, right, bottom).
SHOWN: dict[str, tuple[str, int, tuple[int, int, int, int]]] = {
    "page-1.png": ("report.pdf", 1, (6, 2, 94, 92)),
    "page-2.png": ("report.pdf", 2, (6, 2, 94, 92)),
    "fan.png": ("report.pdf", 2, (6, 15, 94, 33)),
    "what-if.png": ("whatif.html", 1, (0, 0, 100, 100)),
}
DPI = 110
WINDOW = (1200, 1010)
COLOURS = 96  # of a palette: text and flat colours need no more, and files stay small


def hash_of(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def source_of(picture: Path) -> str:
    """The hash of the file that a picture shows, as it says itself."""
    with Image.open(picture) as image:
        return str(image.info["source"])


def _shot(file: Path, page: int, folder: Path) -> Path:
    """The page of a PDF, or the window of a browser on an HTML file, as a PNG."""
    shot = folder / "shot.png"
    if file.suffix == ".pdf":
        command = [
            "pdftoppm",
            "-png",
            "-singlefile",
            "-r",
            f"{DPI}",
            "-f",
            f"{page}",
            str(file),
            str(shot.with_suffix("")),
        ]
    elif CHROMIUM is None:
        sys.exit("pictures.py: Chromium is needed for a picture of the what-if page")
    else:
        window = ",".join(map(str, WINDOW))
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={window}",
        ]
        command = [CHROMIUM, *flags, f"--screenshot={shot}", file.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own command line
    return shot


def make(run: Path, pictures: Path) -> None:
    """All pictures of a run folder."""
    for name, (file, page, part) in SHOWN.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            Image.open(_shot(run / file, page, Path(folder))) as image,
        ):
            across, down = image.size
            box = tuple(round(at * size / 100) for at, size in zip(part, (across, down) * 2, strict=True))
            small = image.convert("RGB").crop(box).quantize(COLOURS, dither=Image.Dither.NONE)
        told = PngImagePlugin.PngInfo()
        told.add_text("source", hash_of(run / file))
        small.save(pictures / name, optimize=True, pnginfo=told)
        said = f"{small.width} x {small.height}, {(pictures / name).stat().st_size:,} bytes"
        print(f"{pictures / name}: {said}")  # noqa: T201


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else SAMPLE, PICTURES)
