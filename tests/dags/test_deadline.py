"""By when which runs must have succeeded, as Airflow stores it and works it out."""

import datetime as dt

from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert

from tounum_airflow.deadline import ScheduledTime, night_deadline
from tounum_tasks.settings import load_settings


def test_deadline_survives_the_database() -> None:
    """The reference is found by the plugin that registers it; else Airflow could make no run at all."""
    made = night_deadline(load_settings(deadline_hours=2.5, notify_connection="chat"))
    assert made is not None
    restored = decode_deadline_alert({"__type": "deadline_alert", "__var": encode_deadline_alert(made)})
    assert isinstance(restored.reference.inner_ref, ScheduledTime)
    assert restored.interval == dt.timedelta(hours=2.5)
    assert restored.callback.path == "tounum_airflow.notifier.DeadlineNotifier"
    assert restored.callback.kwargs == {"connection_id": "chat"}


def test_deadline_can_be_switched_off() -> None:
    assert night_deadline(load_settings(deadline_hours=0)) is None
