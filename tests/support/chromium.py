"""Pages in headless Chromium, for tests that look at what a reader sees."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DARK, LIGHT = "--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_WATCH = """<script>window.errors = [];
window.addEventListener("error", event => errors.push(event.message));
for (const level of ["error", "warn"]) console[level] = (...words) => errors.push(words.join(" "));
</script>"""
_RUN = """<script>window.addEventListener("load", () => {
const result = document.createElement("pre");
result.id = "result-of-test";
try { result.textContent = JSON.stringify({value: (() => { %s })(), errors: window.errors}); }
catch (error) { result.textContent = JSON.stringify({value: null, errors: [String(error)]}); }
document.body.appendChild(result);
});</script>"""
_NARROWEST = 500  # pixels of a window; what is narrower stands in a frame
_FRAME = """<!doctype html><body><iframe style="border: 0" width="%d" height="%d" srcdoc="%s"></iframe><script>
window.addEventListener("load", () => document.body.appendChild(
  document.querySelector("iframe").contentDocument.getElementById("result-of-test")));</script></body>"""


def skip_without_browser() -> None:
    """Skips the calling test, naming the Debian package, where there is no browser."""
    if BROWSER is None:
        pytest.skip("NO PAGE LOOKED AT: apt-get install chromium")


def look(page: Path, script: str, *, width: int = 1200, height: int = 900, colours: str = LIGHT) -> Any:
    """Opens a page, runs a script that ends in `return`, and gives its value; errors of the page fail the test.

    Args:
      page: the file.
      script: JavaScript, run when the page is loaded.
      width, height: of the window, in CSS pixels.
      colours: DARK or LIGHT, as the reader's system says.
    """
    text = page.read_text(encoding="utf-8")
    copy = page.with_suffix(".looked_at.html")
    text = text.replace("<head>", "<head>" + _WATCH, 1).replace("</body>", _RUN.replace("%s", script) + "</body>", 1)
    copy.write_text(text if width >= _NARROWEST else _FRAME % (width, height, html.escape(text)))
    dom = _browse(copy, "--dump-dom", f"--window-size={width},{height}", colours)
    (found,) = re.findall(r'<pre id="result-of-test">(.*?)</pre>', dom, re.DOTALL)
    result = json.loads(html.unescape(found))
    assert result["errors"] == []
    return result["value"]


def printed(page: Path) -> bytes:
    """The PDF that the browser prints."""
    pdf = page.with_suffix(".pdf")
    _browse(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    return pdf.read_bytes()


def _browse(page: Path, *flags: str) -> str:
    assert BROWSER is not None
    profile = page.with_suffix(".profile")
    command = [BROWSER, *_FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
