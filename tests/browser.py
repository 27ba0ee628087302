"""Headless Chromium: the document that scripts have made of a page, what overflows in it, and pictures of it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTHS = PHONE, TABLET, LAPTOP, PAPER = 360, 820, 1280, 673  # CSS pixels; paper is A4 less our margins of 1.6 cm

# what sticks out of its page, of its picture, or of its own box
MEASURE = """
const found = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, width = frame.clientWidth, out = [];
  if (page.documentElement.scrollWidth > width) out.push("page is " + page.documentElement.scrollWidth + " wide");
  for (const element of page.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect(), name = element.tagName + " " + element.textContent.slice(0, 40);
    if (box.width > 0 && (box.right > width + 1 || box.left < -1)) out.push(name);
    const picture = element.tagName === "text" && element.closest("svg").getBoundingClientRect();
    if (picture && (box.left < picture.left - 1 || box.right > picture.right + 1 || box.bottom > picture.bottom + 1)) {
      out.push("picture: " + name);
    }
    const inner = frame.contentWindow.getComputedStyle(element);
    const clips = inner.display !== "inline" && inner.position !== "absolute" && !element.closest("svg");
    if (clips && element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) out.push("box: " + name);
  }
  found.push({ name: frame.name, width, out, text: page.body.innerText.length });
}
document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(found), id: "found" }));
"""


@dataclass(frozen=True)
class Browser:
    """The binary, started anew for every question."""

    binary: str

    def run(self, page: str, *options: str) -> str:
        """Open a page with these options; what the browser prints."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "page.html"
            path.write_text(page, encoding="utf-8")
            flags = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={directory}/me",
            ]
            done = subprocess.run(
                [self.binary, *flags, *options, f"file://{path}"], capture_output=True, timeout=120, check=True
            )
            return done.stdout.decode()

    def json(self, page: str) -> Any:
        """What a page's script has put into its element ``found``."""
        dom = self.run(page, "--dump-dom")
        match = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
        assert match, f"the script did not end: {dom[-2000:]}"
        return json.loads(html.unescape(match[1]))

    def overflows(self, pages: dict[str, str]) -> dict[str, list[str]]:
        """What sticks out, by page and width; each of them at the width of a phone, a tablet, a laptop and paper."""
        frames = []
        for name, page in pages.items():
            for width in WIDTHS:
                shown = printed(page) if width == PAPER else page
                given = html.escape(shown)
                frames.append(
                    f'<iframe name="{name} {width}" srcdoc="{given}" style="width:{width}px;height:900px;border:0">'
                    "</iframe>"
                )
        found = self.json(f"<!doctype html><body>{''.join(frames)}<script>onload = () => {{{MEASURE}}}</script>")
        assert len(found) == len(frames)
        assert all(frame["text"] > 500 for frame in found), "a page is empty"
        return {frame["name"]: frame["out"] for frame in found if frame["out"]}

    def picture(self, page: str, width: int, height: int = 900) -> bytes:
        """A screenshot as PNG."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "picture.png"
            self.run(page, f"--window-size={width},{height}", f"--screenshot={path}")
            return path.read_bytes()

    def paper(self, page: str) -> bytes:
        """The page as PDF."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "page.pdf"
            self.run(page, f"--print-to-pdf={path}", "--no-pdf-header-footer")
            return path.read_bytes()


def printed(page: str) -> str:
    """The page with what holds on paper, and not what holds on narrow screens."""
    return page.replace("@media print", "@media all").replace("@media screen", "@media speech")
