"""Tells people about failed and late runs, through an Airflow connection; without one, the log is all there is."""

import asyncio
import datetime as dt
import json
import logging
import smtplib
import ssl
import urllib.request
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseNotifier, Connection, conf
from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import AirflowNotFoundException

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15
NOBODY_TOLD = "No connection '%s': nobody else was told."


class FailureNotifier(BaseNotifier):
    """Sends one message per failed run; whatever goes wrong with that is logged and changes nothing else.

    Args:
        connection_id: a connection of type ``http`` (a JSON object with the key ``text`` is posted to its host, as chat
            webhooks expect it; a secret in the address goes into the password field as ``/path``) or of type ``smtp``
            (its extra holds ``from_email`` and ``to``).
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self.connection_id = connection_id

    def notify(self, context: Context) -> None:
        """Log the message and send it if the connection exists."""
        text = failure_text(context)
        log.error("%s", text)
        try:
            connection = Connection.get(self.connection_id)
        except AirflowNotFoundException:
            log.info(NOBODY_TOLD, self.connection_id)
        else:
            deliver(connection, text)


class DeadlineNotifier(BaseNotifier):
    """Sends one message about a run that has not succeeded in time, as :class:`FailureNotifier` does for failures.

    It runs in the triggerer, where nothing may block the other triggers.
    """

    def __init__(self, connection_id: str, context: Context | None = None) -> None:
        super().__init__(context)
        self.connection_id = connection_id

    async def async_notify(self, context: Context) -> None:
        """Log the message and send it if the connection exists."""
        text = deadline_text(context)
        log.error("%s", text)
        try:
            connection = await Connection.async_get(self.connection_id)
        except AirflowNotFoundException:
            log.info(NOBODY_TOLD, self.connection_id)
        else:
            await asyncio.to_thread(deliver, connection, text)


def failure_text(context: Context) -> str:
    """Return two or three lines: what failed, when, where to look."""
    dag_run: Any = context["dag_run"]
    lines = [f"TouNum: run {dag_run.run_id} of {dag_run.dag_id} failed."]
    if reason := context.get("reason"):
        lines.append(f"Airflow's reason: {reason}")
    return "\n".join([*lines, *_address(dag_run.dag_id, dag_run.run_id)])


def deadline_text(context: Any) -> str:
    """Return two or three lines about a missed deadline.

    Args:
        context: what Airflow gives to deadline callbacks: ``dag_run`` and ``deadline`` as plain values.
    """
    dag_run = context["dag_run"]
    deadline = context["deadline"]["deadline_time"].astimezone(dt.UTC)
    return "\n".join(
        [
            f"TouNum: run {dag_run['dag_run_id']} of {dag_run['dag_id']} missed its deadline.",
            f"It was to have succeeded by {deadline:%Y-%m-%d %H:%M} UTC, and is {dag_run['state']}.",
            *_address(dag_run["dag_id"], dag_run["dag_run_id"]),
        ]
    )


def _address(dag_id: str, run_id: str) -> list[str]:
    """Where people look, if the installation says under which address it is seen."""
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    return [f"{base_url}/dags/{quote(dag_id)}/runs/{quote(run_id)}"] if base_url else []


def deliver(connection: Connection, text: str) -> None:
    """Send ``text`` through ``connection``; trouble is logged."""
    try:
        send(connection, text)
    except (OSError, ValueError, HTTPException, smtplib.SMTPException) as error:
        # The address may hold a secret, and some errors quote it; their type is enough.
        log.error("Connection '%s' failed: %s.", connection.conn_id, type(error).__name__)


def send(connection: Connection, text: str) -> None:
    """Send ``text`` through ``connection``.

    Raises:
        ValueError: the connection's type or address cannot be used.
        OSError, smtplib.SMTPException: the other side did not answer as it should.
    """
    if connection.conn_type in ("http", "https"):
        _post(connection, text)
    elif connection.conn_type in ("smtp", "email"):
        _mail(connection, text)
    else:
        raise ValueError(f"a {connection.conn_type} connection carries no messages; use http or smtp")


def _post(connection: Connection, text: str) -> None:
    host = connection.host or ""
    scheme = connection.schema or connection.conn_type
    address = host if "://" in host else f"{scheme}://{host}"
    if connection.port and urlsplit(address).port is None:
        address = f"{address}:{connection.port}"
    address += connection.password or ""
    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("the address of a webhook starts with http:// or https://")
    request = urllib.request.Request(
        address, data=json.dumps({"text": text}).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
        pass  # urlopen raises for every status of 400 and above


def _mail(connection: Connection, text: str) -> None:
    extra = json.loads(connection.extra or "{}")
    if not (extra.get("from_email") and extra.get("to")):
        raise ValueError("the extra of an smtp connection needs from_email and to")
    message = EmailMessage()
    message["Subject"] = text.splitlines()[0]
    message["From"] = extra["from_email"]
    message["To"] = extra["to"]
    message.set_content(text)
    context = ssl.create_default_context()
    host, port = connection.host or "localhost", connection.port or 0
    server: smtplib.SMTP
    if extra.get("disable_ssl", False):
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    else:
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
    with server:
        if extra.get("disable_ssl", False) and not extra.get("disable_tls", False):
            server.starttls(context=context)
        if connection.login:
            server.login(connection.login, connection.password or "")
        server.send_message(message)
