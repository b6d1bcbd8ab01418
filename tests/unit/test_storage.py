"""Roots of files: whole or not at all, exclusive, honest about faults."""

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.store.open import open_storage


@given(st.binary(max_size=3 * 2**20))
def test_what_is_copied_is_what_was_there(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    source, target = (open_storage(str(tmp_path_factory.mktemp(name))) for name in ("source", "target"))
    source.write_bytes("a/b", content)
    digest, size = target.copy_from(source, "a/b", "c/d/e")
    assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert target.read_bytes("c/d/e") == content and target.sha256("c/d/e") == digest


def test_a_writer_that_fails_leaves_the_old_content_and_no_trace(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    storage.write_bytes("a", b"old")
    with pytest.raises(RuntimeError), storage.writing("a") as file:
        file.write(b"new")
        raise RuntimeError
    assert storage.read_bytes("a") == b"old"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "a"]


def test_of_many_creators_one_wins_and_its_content_stays(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    won: list[int] = []

    def create(number: int) -> None:
        if storage.create_exclusively("versions/1", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes("versions/1") == str(won[0]).encode() and len(won) == 1


def test_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(EnvironmentFault):
        open_storage(str(tmp_path)).read_bytes("link")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EnvironmentFault):
        open_storage(str(tmp_path)).read_bytes("pipe")


def test_a_full_disk_is_one_clear_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        storage = open_storage(str(disk))
        storage.write_bytes("old", b"old")
        with pytest.raises(EnvironmentFault, match="No space is left"):
            storage.write_bytes("old", b"x" * 2**21)
        assert storage.read_bytes("old") == b"old"
        assert list((disk / ".tmp").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_storage(str(tmp_path)).read_bytes("absent")
    assert open_storage(str(tmp_path)).list_folder("absent") == []


def test_a_folder_that_is_gone_is_never_taken_for_the_file_that_is_copied(tmp_path: Path) -> None:
    source, away, target = (open_storage(root) for root in (str(tmp_path), "/proc/away", str(tmp_path / "b")))
    source.write_bytes("scan.png", b"x")
    for write in (
        lambda: away.copy_from(source, "scan.png", "photos/scan.png"),
        lambda: away.write_cached("a", b""),
        lambda: away.create_exclusively("a", b""),
        lambda: away.lock("a", 1).__enter__(),
    ):
        with pytest.raises(EnvironmentFault, match=r"^file:///proc/away/\S+ cannot be written, as a folder on its way"):
            write()
    with pytest.raises(EnvironmentFault, match="b/c cannot be written"), target.writing("c"):
        shutil.rmtree(tmp_path / "b" / ".tmp")
    with pytest.raises(FileNotFoundError):
        target.copy_from(source, "nothing.png", "c")
    assert main(["run", "--ingest", str(tmp_path), "--lake", "/proc/away"]) == 2


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="not a folder"):
        open_storage(str(tmp_path / "file")).check()


@pytest.mark.parametrize("root", ["ftp://host/x", "", "  ", "a\0b"])
def test_other_roots_are_refused(root: str) -> None:
    with pytest.raises(ConfigurationError):
        open_storage(root)


def test_a_lock_is_held_by_one_and_opens_again(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    with (
        storage.lock("a.lock", 0),
        pytest.raises(EnvironmentFault, match="Another process"),
        storage.lock("a.lock", 0.3),
    ):
        pass
    with storage.lock("a.lock", 0):
        pass
