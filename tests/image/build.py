"""Builds the images: a base that stands for the Dockerfile's, made here of Debian and this machine's Python 3.12."""

import os
import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY

BASE = "tounum-base"
PYTHON = "3.12"
DEBIAN = "bookworm"
# What Debian's part of the official Python images holds for Python's own modules.
LIBRARIES = (
    "ca-certificates,libbz2-1.0,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,libuuid1,netbase,tzdata,"
    "zlib1g"
)
NOT_NEEDED = ("lib/python3.12/test", "lib/python3.12/site-packages", "lib/python3.12/config-*", "__pycache__")
# What a build needs of this machine to reach the packages: its certificates and pip's settings.
TO_REACH_PACKAGES = (Path("/etc/ssl/certs"), Path("/etc/pip.conf"))


class ImageStore:
    """Base and images below one folder.

    Args:
        folder: everything lies below it; some gigabytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._make_base()

    def build(self, variant: str) -> Path:
        """Build the image with a build argument ``VARIANT``; return the folder that is its root."""
        mounts = [f"--volume={path}:{path}:ro" for path in TO_REACH_PACKAGES if path.exists()]
        arguments = [f"--build-arg=BASE=localhost/{BASE}", f"--build-arg=VARIANT={variant}"]
        self._buildah("bud", "--network=host", *mounts, *arguments, f"--tag={variant}", str(REPOSITORY))
        container = self._buildah("from", "--pull-never", f"localhost/{variant}")
        return Path(self._buildah("mount", container))

    def close(self) -> None:
        """Remove the images and what is mounted of them."""
        self._buildah("rm", "--all")
        self._buildah("rmi", "--all", "--force")

    def _make_base(self) -> None:
        context = self._folder / "base"
        root = context / "root"
        root.mkdir(parents=True)
        _run("debootstrap", "--variant=minbase", f"--include={LIBRARIES}", DEBIAN, str(root))
        prefix = _python_prefix()
        left_out = [f"--exclude={name}" for name in NOT_NEEDED]
        archive = context / "python.tar"
        _run("tar", "-C", prefix, *left_out, "-cf", str(archive), "bin", "lib")
        _run("tar", "-C", str(root / "usr/local"), "-xf", str(archive))
        archive.unlink()
        _run("chroot", str(root), "sh", "-c", "ldconfig && rm -rf /var/cache/apt/* /var/lib/apt/lists/*")
        (context / "Dockerfile").write_text(
            "FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        self._buildah("bud", f"--tag={BASE}", str(context))

    def _buildah(self, *arguments: str) -> str:
        folders = [f"--root={self._folder / 'store'}", f"--runroot={self._folder / 'run'}"]
        return _run("buildah", *folders, "--storage-driver=vfs", *arguments, BUILDAH_ISOLATION="chroot")


def _python_prefix() -> str:
    """Return the folder of a Python that is complete in itself, as the official images have it in /usr/local."""
    python = _run(str(REPOSITORY / ".ci" / "find_python"), PYTHON)
    prefix = _run(python, "-c", "import sys; print(sys.base_prefix)")
    assert prefix != "/usr", f"Debian's own Python {PYTHON} cannot be copied: install one below /usr/local or by pyenv."
    return prefix


def _run(*command: str, **environment: str) -> str:
    """Return what a command prints; fail with the end of what it complained about."""
    done = subprocess.run(command, env={**os.environ, **environment}, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}"
    return done.stdout.strip()
