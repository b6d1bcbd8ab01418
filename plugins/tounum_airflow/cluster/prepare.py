"""What the service ``prepare`` does at every start: database, pool, roles, the first user of the web UI.

All of it may be repeated: what is there already stays as it is, but for the size of the pool and permissions that a
role of ours lacks.
"""

import os
import subprocess
import sys

from tounum_airflow.cluster.roles import ROLES
from tounum_airflow.database import make_pool
from tounum_tasks.errors import TounumError
from tounum_tasks.settings import load_settings

ADMIN = "admin"


def main() -> int:
    """Return the exit code: 0 done, 1 Airflow could not do it, 2 wrong configuration."""
    password = os.environ.get("TOUNUM_ADMIN_PASSWORD", "")
    if not password:
        print("TOUNUM_ADMIN_PASSWORD is not set: `make env` writes it into .env.", file=sys.stderr)
        return 2
    try:
        slots = load_settings().model_slots
    except TounumError as error:
        print(error, file=sys.stderr)
        return 2
    # A process of its own: Airflow reads its configuration anew after a migration.
    if subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode:
        print("The database could not be migrated; the lines above say why.", file=sys.stderr)
        return 1
    make_pool(slots)
    _make_roles_and_admin(password)
    return 0


def _make_roles_and_admin(password: str) -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        seen = list(security.VIEWER_PERMISSIONS)
        security.bulk_sync_roles([{"role": name, "perms": [*seen, *own]} for name, own in ROLES.items()])
        print(f"Roles: {', '.join(ROLES)}.")
        if security.find_user(ADMIN):
            print(f"User {ADMIN} is there already; the password was not changed.")
        elif security.add_user(ADMIN, "TouNum", "Admin", "admin@localhost", security.find_role("Admin"), password):
            print(f"User {ADMIN} was made; the password is TOUNUM_ADMIN_PASSWORD in .env.")
        else:
            raise SystemExit(f"User {ADMIN} could not be made; the lines above say why.")


if __name__ == "__main__":
    sys.exit(main())
