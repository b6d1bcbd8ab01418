"""Where an installation keeps things, as a test sees it: a folder, or what lies below one prefix of a bucket."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

READY = "_READY"


class Root(Protocol):
    """Files with names such as ``a/b.png``; ``url`` is what manifests call the root."""

    url: str

    def names(self, below: str = "") -> list[str]:
        """Return the files below a folder of the root; none if it is not there."""

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None: ...

    def remove(self, below: str = "") -> None:
        """Remove everything below a folder of the root; files that come meanwhile may stay."""

    def deliver(self, batch: Path, *, ready: bool = True) -> None:
        """Put a copy of a batch here; its marker comes last, or not at all."""


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.url = path, f"file://{path}"

    def names(self, below: str = "") -> list[str]:
        found = (self.path / below).rglob("*")
        return sorted(path.relative_to(self.path).as_posix() for path in found if path.is_file())

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    def remove(self, below: str = "") -> None:
        if below:
            shutil.rmtree(self.path / below, ignore_errors=True)
            return
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def deliver(self, batch: Path, *, ready: bool = True) -> None:
        leave = None if ready else shutil.ignore_patterns(READY)
        shutil.copytree(batch, self.path / batch.name, ignore=leave)  # times too: a batch's id depends on them


class Prefix:
    """What lies below a prefix of a bucket."""

    def __init__(self, client: Any, url: str) -> None:
        self.url, self._client = url, client
        self._bucket, _, self._prefix = url.removeprefix("s3://").partition("/")

    def names(self, below: str = "") -> list[str]:
        begin = f"{self._prefix}/{below}/" if below else f"{self._prefix}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=begin)
        return [entry["Key"][len(self._prefix) + 1 :] for page in pages for entry in page.get("Contents", ())]

    def read(self, name: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=content)

    def remove(self, below: str = "") -> None:
        for name in self.names(below):
            self._client.delete_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")

    def deliver(self, batch: Path, *, ready: bool = True) -> None:
        names = sorted(Folder(batch).names(), key=lambda name: name == READY)
        for name in names if ready else [name for name in names if name != READY]:
            self.write(f"{batch.name}/{name}", (batch / name).read_bytes())


def prefixes_of(url: str, key_id: str, secret: str) -> Callable[[str], Prefix]:
    """Return what gives the prefixes of the store at ``url``; a bucket is made when it is first asked for."""
    import botocore.session
    from botocore.config import Config

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )

    def prefix(root: str) -> Prefix:
        client.create_bucket(Bucket=root.removeprefix("s3://").partition("/")[0])
        return Prefix(client, root)

    return prefix
