"""A headless Chromium that tests open pages with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

Scheme = Literal["light", "dark"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; without one the test is skipped."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        # Without its sandbox, which containers do not let it have.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def check_page(path: Path, *, width: int, scheme: Scheme) -> None:
    """Hold a page to what a person may expect of it in a window of this width.

    It asks nothing of the network, the console stays empty, all pictures are there, nothing is
    wider than the window, no text lies over another one, and dark is dark.

    Args:
        path: The HTML file.
        width: Width of the window, pixels.
        scheme: What the person prefers.
    """
    asked: list[str] = []
    said: list[str] = []
    with chromium() as browser:
        tab = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        tab.on("request", lambda request: asked.append(request.url[:40]))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(path.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        tab.evaluate("[...document.images].forEach(image => image.loading = 'eager')")
        tab.wait_for_function("[...document.images].every(image => image.naturalWidth > 0)")
        assert tab.evaluate(_OVERLAPPING_TEXT) == []
        back, ink = (
            tab.evaluate(f"getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    dark = sum(map(int, re.findall(r"\d+", back)[:3])) < sum(map(int, re.findall(r"\d+", ink)[:3]))
    assert dark == (scheme == "dark")


# Two texts overlap if what is to be seen of them shares more than two pixels both ways.
_OVERLAPPING_TEXT = """() => {
    const seen = (rect, node) => {
        let {left, top, right, bottom} = rect;
        for (let box = node.parentElement; box; box = box.parentElement) {
            if (getComputedStyle(box).overflow === "visible") continue;
            const frame = box.getBoundingClientRect();
            left = Math.max(left, frame.left); right = Math.min(right, frame.right);
            top = Math.max(top, frame.top); bottom = Math.min(bottom, frame.bottom);
        }
        return {left, top, right, bottom, node, text: node.textContent.trim()};
    };
    const pieces = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        if (!node.textContent.trim() || !node.parentElement.checkVisibility()) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const rect of range.getClientRects()) {
            const piece = seen(rect, node);
            if (piece.right > piece.left && piece.bottom > piece.top) pieces.push(piece);
        }
    }
    pieces.sort((a, b) => a.top - b.top);
    const found = [];
    pieces.forEach((a, index) => {
        for (let other = index + 1; other < pieces.length; other++) {
            const b = pieces[other];
            if (b.top >= a.bottom - 2) break;
            if (a.node === b.node) continue;
            const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (across > 2 && down > 2) found.push([a.text.slice(0, 60), b.text.slice(0, 60)]);
        }
    });
    return found;
}"""
