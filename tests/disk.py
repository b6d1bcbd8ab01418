"""A small file system of its own, which can be full."""

import shutil
import subprocess
import time
from pathlib import Path

FILL_SECONDS = 60


class Disk:
    """A file system in memory that can be made smaller and larger; only root may mount one.

    Raises:
        PermissionError: it cannot be mounted.
    """

    def __init__(self, folder: Path, *, size: str = "64m") -> None:
        self.folder, self._size = folder, size
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            raise PermissionError("mounting a small disk needs root")

    def fill(self) -> None:
        """Leave no room, also while somebody writes."""
        deadline = time.monotonic() + FILL_SECONDS
        while True:
            try:
                return self.resize(self.used())
            except subprocess.CalledProcessError:  # more is on it by now
                if time.monotonic() > deadline:
                    raise

    def make_room(self) -> None:
        """Give it the size again that it had at first."""
        self.resize(self._size)

    def resize(self, size: int | str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True, capture_output=True)

    def used(self) -> int:
        return shutil.disk_usage(self.folder).used

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True)
