"""What a person does in the web UI: opens a page in Airflow's frame, presses keys, reads what is there."""

import shutil
from pathlib import Path
from typing import Any

from tounum_airflow.local.installation import LocalAirflow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SECONDS = 60_000  # of patience with a busy machine, in ms

IS_THERE = """part => {
    const page = location.pathname.includes("/plugin/") ? document.querySelector("iframe")?.contentWindow : window;
    return page && page.location.href.includes(part) && page.document.readyState === "complete"
        && !page.document.querySelector('progress[aria-label="Reading the manifests"]');
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

    def go_on(self, path: str) -> Any:
        """Open another of the pages in the frame that shows one, as a link does: Airflow's own is not loaded again."""
        frames = [frame for frame in self.page.frames if "/tounum/" in frame.url]
        frames[-1].goto(f"{self.airflow.base_url}/tounum/{path}")
        return self.frame(path.split("?")[0])

    def open_alone(self, path: str) -> Any:
        """Open one of the pages without Airflow's around it, which takes a third of the time."""
        self.page.goto(f"/tounum/{path}")
        return self.frame(path.split("?")[0])

    def frame(self, part: str) -> Any:
        """Return our page once it shows an address with ``part`` in it: Airflow's frame, or the whole of an own one."""
        self.page.wait_for_function(IS_THERE, arg=part)
        frames = [frame for frame in self.page.frames if "/tounum/" in frame.url]
        return frames[-1]

    def violations(self, frame: Any) -> list[tuple[str, str]]:
        """Return what axe-core finds wrong in a frame: rule and element."""
        frame.evaluate(AXE.read_text())
        found = frame.evaluate("axe.run().then(r => r.violations.flatMap(v => v.nodes.map(n => [v.id, n.html])))")
        return [(rule, element[:200]) for rule, element in found]
