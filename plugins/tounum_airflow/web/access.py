"""Who may see the pages and who may change what: Airflow's own permissions, asked of its auth manager.

Reading needs permission to read runs of ``tounum_nightly``; corrections need permission to trigger it. Promoting a
model needs what an approver has: to edit the answers that ``tounum_retrain`` waits for (under SimpleAuth, which has no
such permission, the role op or admin).
"""

from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, Header, HTTPException

NIGHTLY, RETRAIN = "tounum_nightly", "tounum_retrain"
PROMOTING_ROLES = ("OP", "ADMIN")

may_read = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=NIGHTLY))


def own_header(x_tounum: Annotated[str | None, Header()] = None) -> None:
    """Refuse what another site made the browser send: forms cannot set a header, and scripts of others may not."""
    if x_tounum != "1":
        raise HTTPException(403, "This request did not come from one of the pages: reload the page and try again.")


may_write = (
    Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=NIGHTLY)),
    Depends(own_header),
)


def is_editor(user: Any) -> bool:
    """Whether a person may correct images."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=NIGHTLY), user=user
        )
    )


def is_trainer(user: Any) -> bool:
    """Whether a person may start a retraining."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=RETRAIN), user=user
        )
    )


def is_approver(user: Any) -> bool:
    """Whether a person may put a model into production."""
    role = getattr(user, "role", None)
    if role is not None:  # SimpleAuth knows roles only, and lets its role "user" answer questions, too
        return str(role).upper() in PROMOTING_ROLES
    return bool(
        get_auth_manager().is_authorized_dag(
            method="PUT", access_entity=DagAccessEntity.HITL_DETAIL, details=DagDetails(id=RETRAIN), user=user
        )
    )


def _require_approver(user: GetUserDep) -> None:
    if not is_approver(user):
        raise HTTPException(403, "Promoting and rolling back are an approver's: ask one, or give yourself that role.")


may_promote = (Depends(_require_approver), Depends(own_header))
