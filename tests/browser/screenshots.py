"""Draws the pictures of docs/pages.md: ``python -m tests.browser.screenshots`` starts Airflow over a sample lake."""

import sys
import tempfile
from pathlib import Path

import cv2
import httpx
import numpy as np
from playwright.sync_api import sync_playwright

from tests.browser.airflow import airflow_over, command, passwords, roots
from tests.browser.people import CHROMIUM, Person
from tounum_airflow.local.installation import PROJECT, LocalAirflow
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.sample.batch import write_sample_batch

PICTURES = PROJECT / "docs" / "images" / "pages"
QUALITY = 72
ARE_SHOWN = """() => [...document.querySelectorAll(".canvas img")].every(i => i.complete && i.naturalWidth)"""


def main() -> None:
    """Draw every page, light and dark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(name)
        roots(folder)
        if not (folder / "lake" / "manifests").exists():
            batch = folder / "ingest" / "Sample"
            write_sample_batch(batch)
            (batch / "_READY").touch()
            done = command(folder, "run")
            if done.returncode:
                raise SystemExit(done.stderr)
        airflow = airflow_over(folder)
        try:
            airflow.start()
            _draw(airflow, folder)
        finally:
            airflow.stop()


def _draw(airflow: LocalAirflow, folder: Path) -> None:
    (manifest,) = (folder / "lake" / "manifests").glob("*/*/manifest.parquet")
    where = f"date={manifest.parent.parent.name}&batch={manifest.parent.name}"
    pages = {
        "nights": "nights",
        "gallery": "gallery?class=Photo",
        "image": f"image?{where}&path=photographs/portrait in poor light.jpg&page=1",
        "quarantine": "quarantine",
        "models": f"models?model=classifier&version={next((STARTERS / 'classifier').iterdir()).name}",
        "retrained": "changes",
        "runs": "runs",
        "sample": f"sample?{where}",
    }
    login = {"username": "olga", "password": passwords(airflow)["olga"]}
    base_url = airflow.base_url
    token = httpx.post(f"{base_url}/auth/token", json=login, timeout=60).json()["access_token"]
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for colours in ("light", "dark"):
            context = chromium.new_context(
                base_url=base_url, viewport={"width": 1200, "height": 760}, color_scheme=colours, locale="en-GB"
            )
            context.add_cookies([{"name": "_token", "value": token, "url": base_url}])
            person = Person(context.new_page(), airflow)
            for name, page in pages.items():
                frame = person.open(page)
                frame.wait_for_function(ARE_SHOWN)  # the larger views of an image are made when it is looked at
                person.page.wait_for_timeout(3000)
                _write(PICTURES / f"{name}_{colours}.webp", person.page.screenshot())
            context.close()
        chromium.close()


def _write(path: Path, png: bytes) -> None:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    path.write_bytes(cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes())
    print(path.relative_to(PROJECT))


if __name__ == "__main__":
    main()
