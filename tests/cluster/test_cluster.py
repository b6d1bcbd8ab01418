"""The cluster of docker-compose.yaml works, and makes good what breaks in it: three faults in every test run."""

import re

import httpx
import pytest

from tests.cluster.cluster import Cluster, wait_until
from tests.cluster.conftest import Delivery
from tests.cluster.night import Night, queue_lost, scheduler_killed, worker_killed_in
from tests.cluster.results import assert_same
from tests.cluster.secrets import assert_secrets_are_kept
from tounum_airflow.local.api import AirflowApi, ApiError

pytestmark = pytest.mark.e2e

BUSY_SECONDS = 300  # the first question of its kind loads a lot, on a machine that is busy


def test_nothing_listens_beyond_this_machine(cluster: Cluster) -> None:
    listeners = cluster.listeners()
    assert {address for _, address in listeners} == {"127.0.0.1"}
    assert {name for name, _ in listeners} == {"postgres-1", "redis-1", "api-server-1", "scheduler-1", "store-1"}


def test_web_ui_and_api_ask_for_a_login(cluster: Cluster) -> None:
    answer = httpx.get(f"{cluster.base_url}/api/v2/dags", trust_env=False, timeout=BUSY_SECONDS)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    with pytest.raises(ApiError, match="refused the login"):
        cluster.login("admin", "admin").request("GET", "dags")
    page = httpx.get(
        f"{cluster.base_url}/api/v2/auth/login", trust_env=False, timeout=BUSY_SECONDS, follow_redirects=True
    )
    assert page.url.path == "/auth/login/" and 'type="password"' in page.text


def test_roles_decide_who_may_trigger_and_approve(cluster: Cluster) -> None:
    viewer, operator, trainer, approver = (
        _user(cluster, role) for role in ("Viewer", "TouNum operator", "TouNum trainer", "TouNum approver")
    )
    assert all(user.has_dag("tounum_retrain") for user in (viewer, operator, trainer, approver))
    for user, dag, allowed in (
        (viewer, "tounum_nightly", False),
        (operator, "tounum_nightly", True),
        (operator, "tounum_retrain", False),
        (trainer, "tounum_nightly", False),
        (trainer, "tounum_retrain", True),
        (approver, "tounum_retrain", False),
        (approver, "tounum_nightly", False),
    ):
        # A malformed date is refused, but only after the question whether the user may trigger at all.
        assert _status(user, "POST", f"dags/{dag}/dagRuns", {"logical_date": "never"}) == (422 if allowed else 403)
    question = "dags/tounum_retrain/dagRuns/none/taskInstances/approve/-1/hitlDetails"
    answer = {"chosen_options": ["Approve"], "params_input": {}}
    assert [_status(user, "PATCH", question, answer) for user in (viewer, operator, trainer)] == [403, 403, 403]
    assert _status(approver, "PATCH", question, answer) == 404  # allowed; there is no such run
    mark = "dags/tounum_retrain/dagRuns/none/taskInstances/approve"
    assert _status(trainer, "PATCH", mark, {"new_state": "success"}) == 403


def test_roles_decide_who_sees_the_pages_and_who_corrects(cluster: Cluster) -> None:
    viewer, operator, trainer, approver = (
        _user(cluster, role) for role in ("TouNum viewer", "TouNum operator", "TouNum trainer", "TouNum approver")
    )
    for user in (viewer, operator, trainer, approver):
        names = [plugin["name"] for plugin in user.request("GET", "plugins")["plugins"]]
        assert "tounum" in names  # without this the menu has no entry
        # 503 while the index is made
        wait_until("the page of the nights", lambda user=user: _page(user, "GET", "nights") == 200)
    nothing = {"mark": "good", "items": []}  # refused as malformed, but only after the question who asks
    assert [_page(user, "POST", "reviews", nothing) for user in (viewer, operator, trainer)] == [403, 422, 403]
    unknown = {"model": "classifier", "version": "none-such"}
    asked = [_page(user, "POST", "promotions", unknown) for user in (viewer, operator, trainer, approver)]
    assert asked == [403, 403, 403, 409]


def _page(user: AirflowApi, method: str, path: str, body: dict | None = None) -> int:
    answer = user._client.request(
        method, f"/tounum/{path}", json=body, headers={"x-tounum": "1", "Accept": "application/json"}
    )
    return answer.status_code


@pytest.fixture(scope="module")
def struck(cluster: Cluster, delivery: Delivery) -> Night:
    """A night with one run that was struck by three faults and has ended."""
    night = Night(cluster)
    night.clear()
    night.drop(delivery.batches)
    run = night.trigger()
    scheduler_killed(night, run)
    queue_lost(night, run)
    worker_killed_in("shard.caption")(night, run)
    assert night.finish(run) == "success", night.states(run)
    return night


def test_three_faults_leave_no_trace(struck: Night, delivery: Delivery) -> None:
    assert_same(struck.archive, delivery.undisturbed)


def test_secrets_are_in_no_log_no_rendered_field_and_no_command_line(struck: Night) -> None:
    assert_secrets_are_kept(struck.cluster)


def _user(cluster: Cluster, role: str) -> AirflowApi:
    name = role.lower().replace(" ", "-")
    credentials = {"username": "admin", "password": cluster.variables["TOUNUM_ADMIN_PASSWORD"]}
    answer = httpx.post(f"{cluster.base_url}/auth/token", json=credentials, trust_env=False, timeout=BUSY_SECONDS)
    token = answer.json()["access_token"]
    made = httpx.post(
        f"{cluster.base_url}/auth/fab/v1/users",
        json={
            "username": name,
            "first_name": name,
            "last_name": name,
            "email": f"{name}@localhost",
            "password": f"password of {name}",
            "roles": [{"name": role}],
        },
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=BUSY_SECONDS,
    )
    assert made.is_success or made.status_code == httpx.codes.CONFLICT, made.text
    return cluster.login(name, f"password of {name}")


def _status(user: AirflowApi, method: str, path: str, body: dict) -> int:
    try:
        user.request(method, path, json=body)
    except ApiError as error:
        found = re.search(r": (\d{3}) ", str(error))
        return int(found[1]) if found else 404
    return 200
