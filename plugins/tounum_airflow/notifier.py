"""Tells people about a failed run, through an Airflow connection; without one, the log is all there is."""

import json
import smtplib
import ssl
import urllib.request
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseNotifier, Connection, conf
from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import AirflowNotFoundException

TIMEOUT_SECONDS = 15


class FailureNotifier(BaseNotifier):
    """Sends one message per failed run; whatever goes wrong with that is logged and changes nothing else.

    Args:
        connection_id: a connection of type ``http`` (a JSON object with the key ``text`` is posted to its
        host, as chat
            webhooks expect it; a secret in the address goes into the password field as ``/path``) or of type
            ``smtp`` (its extra holds ``from_email`` and ``to``).
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self.connection_id = connection_id

    def notify(self, context: Context) -> None:
        """Log the message and send it if the connection exists."""
        text = failure_text(context)
        self.log.error("%s", text)
        try:
            connection = Connection.get(self.connection_id)
        except AirflowNotFoundException:
            self.log.info("No connection '%s': nobody else was told.", self.connection_id)
            return
        try:
            send(connection, text)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            # The address may hold a secret, and some errors quote it; their type is enough.
            self.log.error("Connection '%s' failed: %s.", self.connection_id, type(error).__name__)


def failure_text(context: Context) -> str:
    """Return two or three lines: what failed, when, where to look."""
    dag_run: Any = context["dag_run"]
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    lines = [f"TouNum: run {dag_run.run_id} of {dag_run.dag_id} failed."]
    if reason := context.get("reason"):
        lines.append(f"Airflow's reason: {reason}")
    if base_url:
        lines.append(f"{base_url}/dags/{quote(dag_run.dag_id)}/runs/{quote(dag_run.run_id)}")
    return "\n".join(lines)


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
    extra = connection.extra_dejson
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
