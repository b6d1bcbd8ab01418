"""Messages about failed and late runs, through real servers; trouble with them is logged and changes nothing."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dags.servers import HOST, certificate, mail_server, webhook
from tounum_airflow.notifier import DeadlineNotifier, FailureNotifier

RUN = {"dag_id": "tounum_nightly", "dag_run_id": "scheduled__2026-11-20", "state": "running"}
LATE: dict[str, Any] = {
    "dag_run": RUN,
    "deadline": {"id": "1", "deadline_time": dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)},
}
FIRST_LINE = "TouNum: run manual__1 of tounum_nightly failed."


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO")
    return caplog


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOUNUM_NOTIFY", json.dumps(fields))


def fail() -> None:
    """Airflow's call when a run has failed."""
    run = SimpleNamespace(dag_id="tounum_nightly", run_id="manual__1")
    FailureNotifier("tounum_notify")({"dag_run": run, "reason": "task_failure"})


def miss() -> None:
    """Airflow's call when a run is late."""

    async def call() -> None:
        await DeadlineNotifier(connection_id="tounum_notify", context=LATE)  # type: ignore[arg-type]

    asyncio.run(call())


def test_webhook_is_told_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as (port, posted):
        connect(monkeypatch, conn_type="http", host=HOST, port=port, password="/hooks/a-secret")
        fail()
    ((path, body),) = posted
    assert path == "/hooks/a-secret"
    lines = body.pop("text").splitlines()
    assert body == {}
    assert lines == [
        FIRST_LINE,
        "Airflow's reason: task_failure",
        "http://airflow.example:8080/dags/tounum_nightly/runs/manual__1",
    ]


def test_webhook_is_told_of_a_missed_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as (port, posted):
        connect(monkeypatch, conn_type="http", host=f"http://{HOST}:{port}/hook")
        miss()
    ((path, body),) = posted
    assert path == "/hook"
    assert body["text"].splitlines() == [
        "TouNum: run scheduled__2026-11-20 of tounum_nightly missed its deadline.",
        "It was to have succeeded by 2026-11-20 10:00 UTC, and is running.",
        "http://airflow.example:8080/dags/tounum_nightly/runs/scheduled__2026-11-20",
    ]


@pytest.mark.parametrize("event", [fail, miss])
def test_mail_in_the_clear(monkeypatch: pytest.MonkeyPatch, event: Any) -> None:
    with mail_server() as box:
        extra = {"from_email": "tounum@archive.example", "to": "night@archive.example, day@archive.example"}
        extra |= {"disable_ssl": True, "disable_tls": True}
        connect(monkeypatch, conn_type="smtp", host=HOST, port=box.port, extra=extra)
        event()
    (mail,) = box.mails
    assert mail["From"] == "tounum@archive.example"
    assert mail["To"] == "night@archive.example, day@archive.example"
    assert mail["Subject"].strip().startswith("TouNum: run ")  # long ones are folded
    assert "http://airflow.example:8080/dags/tounum_nightly/runs/" in mail.get_content()  # type: ignore[attr-defined]
    assert box.logins == []


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_encrypted_mail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    path, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    extra: dict[str, Any] = {"from_email": "a@archive.example", "to": "b@archive.example"}
    fields: dict[str, Any] = {"conn_type": "smtp", "host": HOST}
    if kind == "starttls":
        fields |= {"login": "tounum", "password": "secret of the mail"}
        extra |= {"disable_ssl": True}
    with mail_server(**{kind: context}) as box:
        connect(monkeypatch, **fields, port=box.port, extra=extra)
        fail()
    (mail,) = box.mails
    assert mail["Subject"] == FIRST_LINE
    assert box.logins == ([(b"tounum", b"secret of the mail")] if kind == "starttls" else [])


def test_mail_is_not_given_to_a_server_that_nobody_vouches_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: pytest.LogCaptureFixture
) -> None:
    _, context = certificate(tmp_path)
    extra = {"from_email": "a@archive.example", "to": "b@archive.example"}
    with mail_server(tls=context) as box:
        connect(monkeypatch, conn_type="smtp", host=HOST, port=box.port, extra=extra)
        fail()
    assert box.mails == []
    assert "Connection 'tounum_notify' failed: SSLCertVerificationError." in heard.messages


@pytest.mark.parametrize("event", [fail, miss])
def test_without_a_connection_the_log_says_it(heard: pytest.LogCaptureFixture, event: Any) -> None:
    event()
    assert any("of tounum_nightly" in text for text in heard.messages)
    assert "No connection 'tounum_notify': nobody else was told." in heard.messages


@pytest.mark.parametrize("event", [fail, miss])
@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "http", "host": "127.0.0.1:9", "password": "/a-secret"},  # nobody listens there
        {"conn_type": "http", "host": "file:///etc", "password": "/a-secret"},
        {"conn_type": "ftp", "host": "127.0.0.1", "password": "/a-secret"},
        {"conn_type": "smtp", "host": "127.0.0.1", "port": 9, "password": "/a-secret"},
    ],
)
def test_trouble_is_logged_without_the_address_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture, connection: dict, event: Any
) -> None:
    connect(monkeypatch, **connection)
    event()
    assert any(text.startswith("Connection 'tounum_notify' failed: ") for text in heard.messages)
    assert "a-secret" not in heard.text


def test_refusal_of_the_webhook_is_logged(monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture) -> None:
    with webhook(status=500) as (port, posted):
        connect(monkeypatch, conn_type="http", host=HOST, port=port, password="/a-secret")
        fail()
    assert len(posted) == 1
    assert "Connection 'tounum_notify' failed: HTTPError." in heard.messages
    assert "a-secret" not in heard.text
