"""What a person does in the web UI: opens a page in Airflow's frame, presses keys, reads what is there."""

import shutil
from pathlib import Path
from typing import Any

from tounum_airflow.local.installation import LocalAirflow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SECONDS = 60_000  # of patience with a busy machine, in ms

IS_THERE = """part => {
    const frame = document.querySelector("iframe");
    return frame && frame.contentWindow.location.href.includes(part) && frame.contentDocument.readyState === "complete"
        && !frame.contentDocument.querySelector('progress[aria-label="Reading the manifests"]');
}"""


class Person:
    """One tab of one browser."""

    def __init__(self, page: Any, airflow: LocalAirflow) -> None:
        self.page = page
        self.airflow = airflow
        page.set_default_timeout(SECONDS)
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str) -> Any:
        """Open one of the pages in Airflow's frame, and return the frame when it is there."""
        self.page.goto(f"/plugin/tounum/tounum/{path}")
        return self.frame(path.split("?")[0])

    def frame(self, part: str) -> Any:
        """Return our frame once it shows an address with ``part`` in it."""
        self.page.wait_for_selector("iframe")
        self.page.wait_for_function(IS_THERE, arg=part)
        return next(frame for frame in self.page.frames if frame.parent_frame is not None and "/tounum/" in frame.url)

    def violations(self, frame: Any) -> list[tuple[str, str]]:
        """Return what axe-core finds wrong in a frame: rule and element."""
        frame.evaluate(AXE.read_text())
        found = frame.evaluate("axe.run().then(r => r.violations.flatMap(v => v.nodes.map(n => [v.id, n.html])))")
        return [(rule, element[:200]) for rule, element in found]
