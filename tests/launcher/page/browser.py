"""Chromium, driven by playwright, for tests of the page; skipped where either is missing."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 30_000

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="Chromium (apt-get install chromium) or Python's playwright is not installed",
)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Page]:
    """A page of a browser at that address. It fails the test that any script of it raises."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(**options)
        page.set_default_timeout(PATIENCE_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        yield page
        browser.close()
        assert errors == []


def wait_until(page: Page, expression: str) -> None:
    """Waits until this JavaScript is true. (`wait_for_function` would need the page to allow eval,
    which its content policy does not.)"""
    ends = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < ends, f"this did not become true: {expression}"
        page.wait_for_timeout(50)


def shows(page: Page, selector: str, text: str, *, alone: bool = False) -> None:
    """Waits until the first such element shows this text: alone, or among other text. What a click
    sets off may be drawn only after the click has returned."""
    from playwright.sync_api import expect

    shown = expect(page.locator(selector).first)
    holds = shown.to_have_text if alone else shown.to_contain_text
    holds(text, use_inner_text=True, timeout=PATIENCE_MS)
