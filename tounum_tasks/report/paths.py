"""Where the page of a run lies."""

import re

from tounum_tasks.names import safe_key


def report_path(batch_date: str, run_id: str) -> str:
    """Return where the page of a run lies below the lake.

    Run ids are free text (``manual__2026-11-20T10:00:00+00:00``): the name keeps what is harmless of them, and a hash
    that tells apart what would then look the same.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:80]
    return f"reports/{batch_date}/{slug or 'run'}-{safe_key(run_id)[:8]}.html"
