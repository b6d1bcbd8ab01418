"""Health check of a container: ``python healthy.py URL [COMPONENT]``.

Asks one of Airflow's own health reports. Airflow's command for the same takes seconds to load; this file is started by
its path and loads nothing. The API server's report names every component; the scheduler's has no text, only a status.
"""

import http.client
import json
import sys
import urllib.request

TIMEOUT_SECONDS = 10


def main(url: str, component: str | None = None) -> int:
    """Return 0 if the component's heart beats, else 1, with one line that says what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            state = json.load(answer)[component]["status"] if component else "healthy"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        print(f"{url} gave no health report: {error}", file=sys.stderr)
        return 1
    print(f"{component or url}: {state}")
    return 0 if state == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
