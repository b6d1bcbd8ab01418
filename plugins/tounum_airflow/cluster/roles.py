"""Who may do what in the web UI and the REST API of the compose profile, as (action, resource) of Airflow's FAB.

Airflow's own roles are there as well: Viewer sees everything and changes nothing, Op manages connections and pools,
Admin does everything. ``User`` may change any DAG and any question; do not hand it out.
"""

SEES_PAGES = ("can_read", "Plugins")  # without it the web UI lists no page of a plugin, and Viewer has it not
NIGHTLY, REPROCESS, RETRAIN = "DAG:tounum_nightly", "DAG:tounum_reprocess", "DAG:tounum_retrain"

# Together with Viewer's permissions. Whoever may edit task instances can mark a question as answered: trainers may not.
ROLES: dict[str, list[tuple[str, str]]] = {
    # Sees the pages: images, captions, what is to review, models.
    "TouNum viewer": [SEES_PAGES],
    # Triggers, backfills, clears and pauses what brings images into the lake; corrects images.
    "TouNum operator": [
        SEES_PAGES,
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
        SEES_PAGES,
        ("can_edit", RETRAIN),
        ("can_create", "DAG Runs"),
    ],
    # Approves or rejects, which puts the model into production; promotes and rolls back on the page of the models;
    # clears failed tasks of a retraining.
    "TouNum approver": [
        SEES_PAGES,
        ("can_edit", RETRAIN),
        ("can_edit", "HITL Detail"),
        ("menu_access", "HITL Detail"),
        ("can_edit", "Task Instances"),
    ],
}
