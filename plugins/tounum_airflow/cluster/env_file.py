"""``make env``: writes ``.env`` for docker-compose.yaml, with secrets made for this installation alone.

Needs nothing but Python's standard library, and is started by its path, so that it runs before anything is installed:
``python3 plugins/tounum_airflow/cluster/env_file.py``.
"""

import argparse
import base64
import os
import secrets
import sys
from pathlib import Path

DONE, WRONG = 0, 2
IMAGE_USER = 50000  # who the containers run as when root asks: the user that the Dockerfile makes

TEMPLATE = """\
# For docker-compose.yaml; written by `make env`, readable by you alone. Keep a copy in a safe place: without
# TOUNUM_FERNET_KEY the connections stored in Airflow cannot be read any more. See docs/cluster.md.

# Secrets of this installation
POSTGRES_PASSWORD={postgres}
REDIS_PASSWORD={redis}
TOUNUM_FERNET_KEY={fernet}
TOUNUM_JWT_SECRET={jwt}
TOUNUM_SECRET_KEY={session}
# The web UI's first user is "admin", with this password; it is read only once, when that user is made.
TOUNUM_ADMIN_PASSWORD={admin}
# Of the S3-compatible store (profile s3), or of your own bucket
AWS_ACCESS_KEY_ID={store_user}
AWS_SECRET_ACCESS_KEY={store_password}

# The user number that the services run as: it must be allowed to write the folder of new batches.
TOUNUM_UID={user}
TOUNUM_INGEST_DIR=./data/ingest
TOUNUM_DATASETS_DIR=./data/datasets
"""
NAMES = [line.partition("=")[0] for line in TEMPLATE.splitlines() if "=" in line and not line.startswith("#")]


def main(arguments: list[str] | None = None) -> int:
    """Write the file and make the folders beside it if they are not there.

    Returns:
        the exit code: 0 done, 2 a file that lacks something.
    """
    parser = argparse.ArgumentParser(prog="make env", description=__doc__)
    parser.add_argument("--file", type=Path, default=Path(".env"), help="default: .env in this folder")
    path = parser.parse_args(arguments).file
    try:
        write_private(path, env_text())
        is_new = True
    except FileExistsError:
        is_new = False
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}.", file=sys.stderr)
        return WRONG
    for folder in ("data/ingest", "data/datasets"):  # Docker would make them for root alone
        _make_folder(path.parent / folder)
    if not is_new:
        return _report_existing(path)
    print(
        f"Wrote {path} with new secrets, readable by you alone. Start with: docker compose up --detach\n"
        f"The web UI's first user is admin; its password is TOUNUM_ADMIN_PASSWORD in {path}."
    )
    return DONE


def env_text() -> str:
    """Return the file's text; every call makes other secrets."""
    return TEMPLATE.format(
        postgres=secrets.token_urlsafe(24),
        redis=secrets.token_urlsafe(24),
        fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        jwt=secrets.token_urlsafe(64),
        session=secrets.token_urlsafe(32),
        admin=secrets.token_urlsafe(16),
        store_user=f"tounum{secrets.token_hex(5)}",
        store_password=secrets.token_urlsafe(30),
        user=os.getuid() or IMAGE_USER,
    )


def write_private(path: Path, text: str) -> None:
    """Write a new file that was never readable by anybody else.

    Raises:
        FileExistsError: there is one; it is left as it is.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _report_existing(path: Path) -> int:
    """Say whether the file that is there has everything, without showing any of it."""
    there = {line.partition("=")[0].strip() for line in path.read_text(errors="replace").splitlines()}
    missing = [name for name in NAMES if name not in there]
    if not missing:
        print(f"{path} is there and complete; nothing in it was changed.")
        return DONE
    print(
        f"{path} is there and was left as it is, but it lacks {', '.join(missing)}: add them, or move the file away "
        "and run the command again.",
        file=sys.stderr,
    )
    return WRONG


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(folder, IMAGE_USER, 0)


if __name__ == "__main__":
    sys.exit(main())
