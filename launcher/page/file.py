"""One self-contained HTML file of a recorded run: it opens from the disk, offline, with the slider.

All modules are in it as one script, and the events as deflated JSON in base64. So no text of an
entry, a file name or an error is ever markup, whatever it contains. The file fetches nothing: its
content policy forbids that.
"""

from __future__ import annotations

import base64
import json
import zlib

from launcher.page import causes, modules
from launcher.page.recorded import Recorded

MOST_BYTES = 24 << 20
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def html_file(recorded: Recorded) -> str:
    """The whole file. Raises ValueError when it would be larger than MOST_BYTES."""
    data, whys = _packed(recorded.events), causes.beforehand(recorded)
    made = frame(
        about(recorded.title, left_out=recorded.left_out),
        head=(
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f"<style>\n{modules.text('page.css')}</style>"
        ),
        data=(
            f'<script type="application/octet-stream" id="data">{data}</script>\n'
            f'<script type="application/octet-stream" id="causes">{_packed(whys)}</script>'
        ),
        script=f'<script type="module">\n{modules.joined()}</script>',
    )
    if len(made) > MOST_BYTES:
        raise ValueError(f"{len(made)} bytes, and at most {MOST_BYTES} are reasonable")
    return made


def _packed(value: object) -> str:
    """Text that is no markup whatever the value contains."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(text, 9)).decode()


def frame(said: dict[str, object], *, head: str, data: str, script: str) -> str:
    """The frame of the page with these parts in it.

    said: about the run, for `static/source.js`
    """
    facts = json.dumps(said).replace("<", "\\u003c")
    return (
        modules.text("page.html")
        .replace("<!--style-->", head)
        .replace("<!--do-->", modules.text("do.html") if said.get("live") else "")
        .replace(
            "<!--data-->", f'<script type="application/json" id="about">{facts}</script>\n{data}'
        )
        .replace("<!--script-->", script)
    )


def about(
    title: str, *, left_out: str = "", live: bool = False, lesson: bool = False, source: str = ""
) -> dict[str, object]:
    """What the page is told of its run before any event."""
    return {"title": title, "left_out": left_out, "live": live, "lesson": lesson, "source": source}
