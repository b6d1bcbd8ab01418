"""Roots in an object store, against a real server: whole or not at all, exclusive, patient, discreet."""

import hashlib
import logging
import os
import threading
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from werkzeug.wrappers import Request, Response

from tests.s3_server import BUCKET, KEY_ID, SECRET, S3Server, cut, error
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.store import objects as object_storage
from tounum_tasks.store.base import ChangedWhileRead, Storage
from tounum_tasks.store.open import open_storage

LAKE = f"s3://{BUCKET}/lake"
MIB = 2**20


@pytest.fixture
def lake(s3: S3Server) -> Storage:
    return open_storage(LAKE)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest parts that stores accept, and blocks that are smaller still."""
    monkeypatch.setattr(object_storage, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(object_storage, "BLOCK_BYTES", MIB)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 1.0)


def content_of(size: int) -> bytes:
    return hashlib.shake_128(b"seed").digest(size)


def test_files_are_copied_between_folders_and_stores(lake: Storage, tmp_path: Path, small_parts: None) -> None:
    folder, other = open_storage(str(tmp_path)), open_storage(f"s3://{BUCKET}/other")
    for size in (0, 1, MIB, 12 * MIB + 1):
        content = content_of(size)
        folder.write_bytes("a/b", content)
        for source, target in ((folder, lake), (lake, other), (other, folder)):
            assert target.copy_from(source, "a/b", "a/b") == (hashlib.sha256(content).hexdigest(), size)
        assert folder.read_bytes("a/b") == content == lake.read_bytes("a/b")
        assert lake.sha256("a/b") == hashlib.sha256(content).hexdigest()


def test_a_large_file_comes_in_parts_and_appears_whole(lake: Storage, s3: S3Server, small_parts: None) -> None:
    content = content_of(11 * MIB)
    with lake.writing("large") as file:
        for start in range(0, len(content), MIB):
            file.write(content[start : start + MIB])
            assert not lake.exists("large")
    assert [method for method, path in s3.requests if path.endswith("/large") and method in ("PUT", "POST")] == [
        "POST", "PUT", "PUT", "PUT", "POST",
    ]  # fmt: skip
    with lake.open("large") as reader:
        for start in (0, 10 * MIB + 5, 3 * MIB - 1, 7):
            reader.seek(start)
            assert reader.read(2 * MIB) == content[start : start + 2 * MIB]


def test_a_writer_that_fails_leaves_the_old_content_and_no_parts(
    lake: Storage, s3: S3Server, small_parts: None
) -> None:
    lake.write_bytes("a", b"old")
    with pytest.raises(RuntimeError), lake.writing("a") as file:
        file.write(content_of(6 * MIB))
        raise RuntimeError
    assert lake.read_bytes("a") == b"old" and uploads() == []


@pytest.mark.parametrize("root", [LAKE, f"s3://{BUCKET}"])
def test_parts_that_a_killed_writer_left_are_given_up_after_a_day_and_nobody_elses(
    root: str, s3: S3Server, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_storage(root)
    child = os.fork()
    if child == 0:
        with lake.writing("a") as file:
            file.write(content_of(6 * MIB))
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    client = object_storage._connect(os.getpid())
    for key in ("lake/somebody's", "a film", "zebra"):  # the server dates every upload to 2010
        client.create_multipart_upload(Bucket=BUCKET, Key=key)
    lake.remove_stale_temporaries()
    assert len(uploads()) == 4 and not lake.exists("a")
    monkeypatch.setattr(object_storage, "STALE_AFTER_NS", -(10**9))
    with s3.disturbed(first_page_of_uploads):
        lake.remove_stale_temporaries()
    assert sorted(upload["Key"] for upload in uploads()) == ["a film", "lake/somebody's", "zebra"]
    assert lake.list_folder(".tmp") == []


def first_page_of_uploads(request: Request, done: bool) -> Response | None:
    """A store that gives few uploads at once: what is asked for first has none of those that matter."""
    if request.method != "GET" or "uploads" not in request.args or "key-marker" in request.args:
        return None
    body = (
        "<?xml version='1.0'?><ListMultipartUploadsResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        f"<Bucket>{BUCKET}</Bucket><NextKeyMarker>0</NextKeyMarker><NextUploadIdMarker>0</NextUploadIdMarker>"
        "<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"
    )
    return Response(body, content_type="application/xml")


def test_a_finished_or_failed_upload_leaves_no_note(lake: Storage, small_parts: None) -> None:
    lake.write_bytes("large", content_of(6 * MIB))
    with pytest.raises(RuntimeError), lake.writing("other") as file:
        file.write(content_of(6 * MIB))
        raise RuntimeError
    assert lake.list_folder(".tmp") == [] == uploads()


def test_a_version_is_replaced_by_one_writer_only(lake: Storage, s3: S3Server) -> None:
    assert lake.replace_version("a", b"1", "") and not lake.replace_version("a", b"2", "")
    version = lake.entry("a").version
    assert lake.replace_version("a", b"3", version) and not lake.replace_version("a", b"4", version)
    with s3.disturbed(first("PUT", cut, done=True)):  # it was written, and the answer was lost
        assert lake.replace_version("a", b"5", lake.entry("a").version)
    assert lake.read_bytes("a") == b"5"
    version = lake.entry("a").version
    lake.remove("a")
    assert not lake.replace_version("a", b"6", version) and not lake.exists("a")


def test_a_file_is_removed_only_as_the_version_that_was_read(lake: Storage, s3: S3Server) -> None:
    lake.write_bytes("a", b"old")
    version = lake.entry("a").version
    lake.write_bytes("a", b"new")
    assert not lake.remove_unchanged("a", sha256="", version=version) and lake.read_bytes("a") == b"new"

    def replace_before_the_removal(request: Request, done: bool) -> None:
        if request.method == "DELETE" and not done and not begun:
            begun.append(True)
            worker = threading.Thread(target=lake.write_bytes, args=("a", b"newer"))
            worker.start()
            worker.join()

    begun: list[bool] = []
    with s3.disturbed(replace_before_the_removal):
        assert not lake.remove_unchanged("a", sha256="", version=lake.entry("a").version)
    assert lake.read_bytes("a") == b"newer"
    assert lake.remove_unchanged("a", sha256="", version=lake.entry("a").version) and not lake.exists("a")
    assert lake.remove_unchanged("a", sha256="", version=version)


def uploads() -> list[dict]:
    client = object_storage._connect(os.getpid())
    return client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


def test_of_many_creators_one_wins_and_its_content_stays(lake: Storage) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        if lake.create_exclusively("versions/1", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.read_bytes("versions/1") == str(won[0]).encode() and len(won) == 1


@pytest.mark.parametrize("is_mine", [True, False])
def test_a_creator_whose_answer_was_lost_knows_whether_it_won(lake: Storage, s3: S3Server, is_mine: bool) -> None:
    if not is_mine:
        lake.create_exclusively("versions/1", b"mine")  # the same content, by another writer
    with s3.disturbed(first("PUT", cut, done=True)):
        assert lake.create_exclusively("versions/1", b"mine") is is_mine
    assert lake.read_bytes("versions/1") == b"mine"


def test_a_large_file_is_there_although_the_answer_was_lost(lake: Storage, s3: S3Server, small_parts: None) -> None:
    def lose_the_last(request: Request, done: bool) -> None:
        if done and request.method == "POST" and "uploadId" in request.args and not lost:
            lost.append(True)
            cut(request)

    lost: list[bool] = []
    with s3.disturbed(lose_the_last):
        lake.write_bytes("large", content_of(6 * MIB))
    assert lost and lake.read_bytes("large") == content_of(6 * MIB)


def first(method: str, fault, *, done: bool = False):
    """Disturb the first request of a method."""
    seen: list[Request] = []

    def disturb(request: Request, is_done: bool) -> Response | None:
        if request.method == method and is_done == done and not seen:
            seen.append(request)
            return fault(request)
        return None

    return disturb


@pytest.mark.parametrize(
    "fault",
    [
        lambda request: error(503, "SlowDown"),
        lambda request: error(500, "InternalError"),
        lambda request: error(429, "TooManyRequests"),
        lambda request: Response("<html>", status=502),
        cut,
    ],
    ids=["throttled", "broken", "limited", "proxy", "cut"],
)
def test_requests_are_repeated_through_a_storm(
    lake: Storage, s3: S3Server, fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three requests fail."""
    monkeypatch.setattr(object_storage, "FIRST_PAUSE_SECONDS", 0.01)
    numbers = iter(range(10**6))
    with s3.disturbed(lambda request, done: fault(request) if not done and next(numbers) % 3 else None):
        for number in range(3):
            lake.write_bytes(f"a/{number}", b"x")
            assert lake.create_exclusively(f"b/{number}", b"y")
        assert [entry.name for entry in lake.list_folder("a")] == ["0", "1", "2"]
        assert lake.read_bytes("a/1") == b"x" and lake.exists("b/2") and not lake.exists("b/3")
        lake.remove("a/0")
    assert not lake.exists("a/0")


def test_an_answer_that_was_lost_behind_its_head_is_not_believed(
    lake: Storage, s3: S3Server, small_parts: None
) -> None:
    lost: list[str] = []

    def lose_each_once(request: Request, done: bool) -> Response | None:
        what = f"{request.method} {sorted(request.args)}"
        if not done or request.method == "PUT" or what in lost:
            return None
        lost.append(what)
        return Response(b"", content_type="application/xml")

    with s3.disturbed(lose_each_once):
        with lake.writing("a/0") as file:
            file.write(content_of(6 * MIB))
        assert [entry.name for entry in lake.list_folder("a")] == ["0"]
    assert lost == [
        "POST ['uploads']",
        "POST ['uploadId']",
        "DELETE []",
        "GET ['delimiter', 'encoding-type', 'list-type', 'prefix']",
    ]
    assert lake.read_bytes("a/0") == content_of(6 * MIB)


def test_pauses_grow(lake: Storage, s3: S3Server) -> None:
    times: list[float] = []

    def refuse_six(request: Request, done: bool) -> Response | None:
        if not done:
            times.append(time.monotonic())
        return error(503, "SlowDown") if len(times) < 7 and not done else None

    with s3.disturbed(refuse_six):
        lake.write_bytes("a", b"x")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 7 and pauses[5] > 1.5 > 0.3 > pauses[0] / 4 and sum(pauses) < 60


def test_a_store_that_stays_away_is_one_clear_sentence(lake: Storage, s3: S3Server, impatient: None) -> None:
    with s3.disturbed(lambda request, done: error(503, "SlowDown")), pytest.raises(EnvironmentFault) as fault:
        lake.read_bytes("a")
    assert str(fault.value).startswith(f"{LAKE}/a cannot be reached (SlowDown), tried for ")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (507, "InsufficientStorage", "No space is left"),
        (403, "AccessDenied", "may not be read or written with these credentials"),
        (404, "NoSuchBucket", f"There is no bucket {BUCKET}: create it"),
        (400, "MalformedXML", "the store answered MalformedXML"),
    ],
)
def test_what_does_not_pass_is_said_at_once(lake: Storage, s3: S3Server, status: int, code: str, sentence: str) -> None:
    asked: list[bool] = []

    def refuse(request: Request, done: bool) -> Response:
        asked.append(done)
        return error(status, code)

    with s3.disturbed(refuse), pytest.raises(EnvironmentFault, match=sentence):
        lake.write_bytes("a", b"x")
    assert len(asked) == 1


def test_no_credentials_is_one_clear_sentence(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    object_storage._connect.cache_clear()
    with pytest.raises(EnvironmentFault, match="There are no credentials"):
        open_storage(LAKE).check()
    object_storage._connect.cache_clear()


def test_a_store_that_cannot_create_exclusively_is_refused(lake: Storage, s3: S3Server) -> None:
    lake.require_exclusive_creation()
    lake.require_exclusive_creation()  # also where an earlier run has asked

    def forget_the_condition(request: Request, done: bool) -> None:
        request.environ.pop("HTTP_IF_NONE_MATCH", None)

    with s3.disturbed(forget_the_condition), pytest.raises(ConfigurationError, match="does not honour"):
        lake.require_exclusive_creation()


def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(lake: Storage, small_parts: None) -> None:
    lake.write_bytes("a", content_of(3 * MIB))
    (entry,) = lake.list_folder()
    with lake.open("a") as reader:
        reader.read(1)
        lake.write_bytes("a", bytes(3 * MIB))
        with pytest.raises(ChangedWhileRead, match="was replaced while it was read"):
            reader.read()
    with pytest.raises(ChangedWhileRead):
        lake.open("a", entry.version)
    assert lake.entry("a").version != entry.version


@pytest.mark.parametrize(
    "name",
    ["a?versionId=1.png", "x/../y.png", "a/./b", "sp ace+%2F&<>.png", "\x01\x1b", "ü\u202e写真", "q=1#f", "~", "a\\b"],
)
def test_odd_keys_are_taken_literally(lake: Storage, name: str) -> None:
    lake.write_bytes(f"odd/{name}", name.encode())
    lake.write_bytes("y.png", b"another")
    assert lake.read_bytes(f"odd/{name}") == name.encode() and lake.entry(f"odd/{name}").size == len(name.encode())
    assert [entry.name for entry in lake.list_folder("odd")] == [name.partition("/")[0]]
    lake.remove(f"odd/{name}")
    assert lake.list_folder("odd") == [] and lake.read_bytes("y.png") == b"another"


def test_folders_are_what_names_have_in_common(lake: Storage) -> None:
    for name in ("Box/a.png", "Box/inner/b.png", "Box-2/c.png", "Box.png", "Box//d.png"):
        lake.write_bytes(name, b"x")
    lake.write_bytes("Box/", b"")  # what some tools leave to mark a folder
    assert [(entry.name, entry.kind) for entry in lake.list_folder()] == [
        ("Box", "folder"), ("Box-2", "folder"), ("Box.png", "file"),
    ]  # fmt: skip
    assert [(entry.name, entry.kind) for entry in lake.list_folder("Box")] == [
        ("", "other"), ("a.png", "file"), ("inner", "folder"),
    ]  # fmt: skip
    assert lake.entry("Box").kind == "folder" and lake.entry("Box.png").kind == "file"
    assert lake.list_folder("absent") == [] and not lake.exists("absent")
    for read in (lake.entry, lake.read_bytes):
        with pytest.raises(FileNotFoundError):
            read("absent")


def test_folders_of_thousands_are_listed_whole(lake: Storage) -> None:
    from moto.s3.models import s3_backends

    for number in range(2100):
        s3_backends["123456789012"]["aws"].put_object(BUCKET, f"lake/many/{number:04d}", b"")
    assert [entry.name for entry in lake.list_folder("many")] == [f"{number:04d}" for number in range(2100)]


def test_a_tree_is_listed_as_a_folder_would_be(lake: Storage, tmp_path: Path) -> None:
    folder = open_storage(str(tmp_path))
    for storage in (lake, folder):
        for path in ("top/a/b/c", "top/a-b", "top/a/d", "other/e"):
            storage.write_bytes(path, path.encode())
    listed = [[(entry.name, entry.kind, entry.size) for entry in s.list_tree("top")] for s in (lake, folder)]
    assert sorted(listed[0]) == sorted(listed[1]) == [("a-b", "file", 7), ("a/b/c", "file", 9), ("a/d", "file", 7)]
    assert {entry.version for entry in lake.list_tree("top")} == {
        lake.entry(f"top/{name}").version for name in ("a-b", "a/b/c", "a/d")
    }
    assert lake.list_tree("none") == folder.list_tree("none") == []


def test_a_forked_process_makes_connections_of_its_own(lake: Storage) -> None:
    lake.write_bytes("a", b"x")
    child = os.fork()
    if child == 0:
        os._exit(0 if lake.read_bytes("a") == b"x" else 1)
    assert lake.read_bytes("a") == b"x"
    assert os.waitpid(child, 0)[1] == 0


def test_credentials_can_come_from_elsewhere(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_by: list[str] = []

    def look(request: Request, done: bool) -> None:
        signed_by.append(request.headers["Authorization"])

    monkeypatch.setattr(object_storage, "_sources", [])
    given = {"aws_access_key_id": "OTHERKEY", "aws_secret_access_key": "other", "endpoint_url": s3.url}
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    object_storage.take_credentials_from(lambda: given)
    with s3.disturbed(look):
        open_storage(LAKE).check()
    assert all("Credential=OTHERKEY/" in header for header in signed_by) and signed_by
    object_storage._connect.cache_clear()


def test_no_secret_is_logged_or_told(s3: S3Server, caplog: pytest.LogCaptureFixture, impatient: None) -> None:
    caplog.set_level(logging.DEBUG)
    object_storage._connect.cache_clear()
    lake = open_storage(LAKE)
    told = [repr(lake), repr(vars(lake))]
    lake.write_bytes("a", b"x")
    for status, code in ((503, "SlowDown"), (403, "InvalidAccessKeyId"), (400, "Odd")):
        answer = partial(lambda request, done, status, code: error(status, code), status=status, code=code)
        with s3.disturbed(answer), pytest.raises(EnvironmentFault) as fault:
            lake.read_bytes("a")
        told.append(str(fault.value))
    assert SECRET not in caplog.text and not any(SECRET in text or KEY_ID in text for text in told)


@pytest.mark.parametrize(
    "root",
    [
        f"s3://{KEY_ID}:{SECRET.replace('/', '%2F')}@bucket/lake",
        f"s3://bucket/lake?secret={SECRET}",
        "s3://",
        "s3:///lake",
        "s3://Bucket",
        "s3://bucket//lake",
        "s3://bucket/../other",
        "s3://bucket/a b",
        "s3://bucket/" + "x" * 300,
    ],
)
def test_odd_roots_are_refused_and_not_repeated(root: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_storage(root)
    assert SECRET.replace("/", "%2F") not in str(refused.value) and "secret" not in str(refused.value)
