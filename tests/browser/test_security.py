"""What the pages refuse: strangers, viewers who write, other sites, and hostile text in every place."""

import time

import pytest
from fastapi.routing import APIRoute

from tests.browser.conftest import CLIENT, token
from tests.browser.test_pages import batch_of, correction, get, post
from tests.fuzz import ODD_NAMES
from tounum_airflow.local.installation import LocalAirflow

HOSTILE = [
    *ODD_NAMES, "../../etc/passwd", "%2e%2e/%2e%2e", "\\..\\..", "<script>alert(1)</script>", "'; DROP TABLE items; --",
    "\x00", "a" * 5000, "{{7*7}}", "file:///etc/passwd", "s3://other/secret", '" OR 1=1 --', "\u202e", "NaN", "-1",
    "9" * 5000, "99999999T999999999999Z-00000000", "99991231T235959999999Z-00000000",
]  # fmt: skip
QUERIES = [
    "gallery?q={}", "gallery?class={}", "gallery?from={}", "gallery?batch={}&date=2026-01-01", "gallery?after={}",
    "gallery?n={}", "gallery?sort={}", "gallery?shard={}", "nights?before={}", "nights?run={}",
    "image?date={}&batch=b&path=p",
    "image?date=2026-01-01&batch={}&path=p", "image?date=2026-01-01&batch=b&path={}",
    "image?date=2026-01-01&batch=b&path=p&in.q={}", "thumbnail/{}?date=2026-01-01&batch=b",
    "view?date=2026-01-01&batch=b&path={}", "original?date={}&batch=b&path=p",
    "attention/{}?date=2026-01-01&batch=b&path=p", "changes?date=2026-01-01&batch={}", "models?model={}&version=x",
    "models?model=classifier&version={}", "static/{}", "sample?date=2026-01-01&batch=b&id={}",
    "like?date=2026-01-01&batch=b&path={}", "task?run={}&map=0",
    "task?run=r&map={}", "scan-again.csv?date={}",
]  # fmt: skip


def routes() -> list[tuple[str, str]]:
    """Return method and path of every endpoint."""
    from tounum_airflow.web import app

    return [
        (method, route.path)
        for room in app.ROOMS
        for route in room.router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def test_nobody_sees_anything_without_a_login(airflow: LocalAirflow) -> None:
    assert len(routes()) > 20
    for method, path in routes():
        answer = CLIENT.request(method, f"{airflow.base_url}/tounum{path}", json={})
        assert answer.status_code == 401, (method, path, answer.text)
    page = CLIENT.get(f"{airflow.base_url}/tounum/nights", headers={"Accept": "text/html"})
    assert (page.status_code, "log in again" in page.text) == (401, True)


def test_what_writes_is_refused_to_viewers_and_to_other_sites(airflow: LocalAirflow) -> None:
    writing = [path for method, path in routes() if method == "POST"]
    assert set(writing) == {"/reviews", "/samples", "/promotions", "/restores"}
    for path in writing:
        assert post(airflow, "vera", path[1:], {}).status_code == 403, path
        from_elsewhere = post(airflow, "olga", path[1:], {}, **{"x-tounum": "0", "Origin": "http://evil.example"})
        assert from_elsewhere.status_code == 403, path
        assert "did not come from one of the pages" in from_elsewhere.json()["detail"]


def test_form_of_another_site_changes_nothing(airflow: LocalAirflow) -> None:
    answer = CLIENT.post(
        f"{airflow.base_url}/tounum/reviews",
        data={"mark": "good"},
        headers={"Origin": "http://evil.example", **_cookie(airflow)},
    )
    assert answer.status_code in (403, 422)
    assert answer.status_code == 403 or "x-tounum" not in answer.text


@pytest.mark.parametrize("query", QUERIES)
def test_hostile_text_gets_one_sentence(airflow: LocalAirflow, query: str) -> None:
    for text in HOSTILE:
        answer = CLIENT.get(
            f"{airflow.base_url}/tounum/{query.format(_quoted(text))}",
            headers={**_cookie(airflow), "Accept": "text/html"},
        )
        assert answer.status_code < 500, (query, text, answer.text[-500:])
        assert "<script>alert(1)" not in answer.text
        assert "Traceback" not in answer.text
        policy = answer.headers.get("Content-Security-Policy", "")
        assert "script-src 'self'" in policy or "sandbox" in policy or answer.status_code in (307, 404)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_corrections_get_one_sentence(airflow: LocalAirflow, site: object, text: str) -> None:
    body = correction(site, "sketches/house.png", "label", "Text")  # type: ignore[arg-type]
    (item,) = body["items"]
    tries = [body | {"value": text}, body | {"mark": text}, body | {"sample": text}]
    tries += [body | {"items": [item | {name: text}]} for name in ("date", "batch", "path", "page")]
    tries += [body | {"items": [item | {"saw": {"label": text}}]}]
    for wrong in tries:
        answer = post(airflow, "ute", "reviews", wrong)
        assert 400 <= answer.status_code < 500, (wrong, answer.text)
        assert "\n" not in answer.json()["detail"]


def test_originals_cannot_run_scripts(airflow: LocalAirflow, site: object) -> None:
    date, batch = batch_of(site)  # type: ignore[arg-type]
    answer = get(airflow, "vera", f"original?date={date}&batch={batch}&path=texts/list of boxes.jpg")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_thumbnails_are_kept_by_the_browser_and_asked_for_no_more(airflow: LocalAirflow, site: object) -> None:
    page = get(airflow, "vera", "gallery?class=Sketch", Accept="text/html").text
    path = page.partition('<img src="/tounum/')[2].partition('"')[0].replace("&amp;", "&")
    for _ in range(60):
        first = get(airflow, "vera", path)
        if "is being made" not in first.text:
            break
        time.sleep(1)
    assert first.status_code == 200
    assert "immutable" in first.headers["Cache-Control"] and "private" in first.headers["Cache-Control"]
    assert get(airflow, "vera", path, **{"If-None-Match": first.headers["ETag"]}).status_code == 304


def _cookie(airflow: LocalAirflow) -> dict[str, str]:
    return {"Cookie": f"_token={token(airflow, 'ute')}"}


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
