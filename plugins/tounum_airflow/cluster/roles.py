"""Who may do what in the web UI and the REST API of the compose profile, as (action, resource) of Airflow's FAB.

Airflow's own roles are there as well: Viewer sees everything and changes nothing, Op manages connections and pools,
Admin does everything. ``User`` may change any DAG and any question; do not hand it out.
"""

NIGHTLY, REPROCESS, RETRAIN = "DAG:tounum_nightly", "DAG:tounum_reprocess", "DAG:tounum_retrain"

# Together with Viewer's permissions. Whoever may edit task instances can mark a question as answered: trainers may not.
ROLES: dict[str, list[tuple[str, str]]] = {
    # Triggers, backfills, clears and pauses what brings images into the lake.
    "TouNum operator": [
        ("can_edit", NIGHTLY),
        ("can_edit", REPROCESS),
        ("can_create", "DAG Runs"),
        ("can_edit", "DAG Runs"),
        ("can_edit", "Task Instances"),
        ("can_create", "Backfills"),
        ("can_edit", "Backfills"),
    ],
    # Triggers a retraining; what comes of it waits for somebody who may approve.
    "TouNum trainer": [
        ("can_edit", RETRAIN),
        ("can_create", "DAG Runs"),
    ],
    # Approves or rejects, which puts the model into production; clears failed tasks of a retraining.
    "TouNum approver": [
        ("can_edit", RETRAIN),
        ("can_edit", "HITL Detail"),
        ("menu_access", "HITL Detail"),
        ("can_edit", "Task Instances"),
    ],
}
