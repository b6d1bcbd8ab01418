"""A root in an S3-compatible object store.

One upload makes an object appear whole, so nothing needs a temporary name; what must be created by one writer alone is
created with ``If-None-Match: *``. A request that fails in a way that may pass (no connection, throttling, a server's
error) is repeated with growing pauses for :data:`PATIENCE_SECONDS`, so that an outage of a minute is not noticed.

This is botocore itself: fsspec's file system over it repeats requests behind our back, so that the winner of an
exclusive creation can be told that it lost, and reads ``?versionId=`` in the name of a file as an option.

Where the store is and who we are comes from the environment, as in every AWS tool (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, a role of the machine, ...), or from :func:`take_credentials_from`.
"""

import contextlib
import datetime as dt
import io
import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import IO, Any, TypeVar

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, UnreadableFile
from tounum_tasks.store.base import STALE_AFTER_NS, TEMPORARY_FOLDER, ChangedWhileRead, Entry, Storage

PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0
PART_BYTES = 16 * 2**20  # stores take at most 10,000 parts: files of up to 160 GB
BLOCK_BYTES = 8 * 2**20  # what one request reads
PROBE = "registers/probe"

# Beside every status of 500 and above.
PASSING_CODES = frozenset(
    {
        "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "RequestTimeout",
        "OperationAborted", "ConditionalRequestConflict", "429", "409",
    }
)  # fmt: skip
FULL_CODES = frozenset({"InsufficientStorage", "InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "507"})
ABSENT_CODES = frozenset({"NoSuchKey", "NoSuchUpload", "404"})
REFUSED_CODES = frozenset({"PreconditionFailed", "412"})
FORBIDDEN_CODES = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401"}
)

log = logging.getLogger(__name__)

T = TypeVar("T")

# Arguments of botocore's create_client: aws_access_key_id, aws_secret_access_key, region_name, endpoint_url, ...
CredentialsSource = Callable[[], Mapping[str, str]]
_sources: list[CredentialsSource] = []


def take_credentials_from(source: CredentialsSource) -> None:
    """Ask ``source`` for credentials, and where the store is, whenever a process connects; it may return nothing."""
    _sources[:] = [source]
    _connect.cache_clear()


@lru_cache(maxsize=1)
def _connect(process_id: int) -> Any:
    """One client for all threads of a process; a forked process makes its own."""
    import botocore.session
    from botocore.config import Config

    options = {name: value for source in _sources for name, value in source().items() if value}
    elsewhere = options.get("endpoint_url") or os.getenv("AWS_ENDPOINT_URL_S3") or os.getenv("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=10,
        read_timeout=30,
        max_pool_connections=32,
        retries={"total_max_attempts": 1},  # repeated by us: an exclusive creation must know that it was
        s3={"addressing_style": "path" if elsewhere else "auto"},  # few other stores have a host name for each bucket
    )
    try:
        return botocore.session.get_session().create_client("s3", config=config, **options)
    except ValueError as error:
        raise ConfigurationError("The address of the object store (AWS_ENDPOINT_URL) is no http(s):// URL.") from error


class ObjectStorage(Storage):
    """The objects below one prefix of a bucket; a folder is what several names have in common."""

    has_locks = False

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._bucket, _, self._prefix = root.removeprefix("s3://").partition("/")

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix and path else self._prefix or path

    def _below(self, path: str) -> str:
        """What the keys of everything in a folder begin with."""
        key = self._key(path)
        return f"{key}/" if key else ""

    def _faults(self, path: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # every request says what is wrong by itself

    def _attempt(self, path: str, action: Callable[[Any], T]) -> T:
        """Do ``action`` with the client, again and again while it fails in a way that may pass.

        Raises:
            FileNotFoundError: there is no such object.
            _Refused: a condition of the request does not hold.
            UnreadableFile: this object alone is in an archive.
            EnvironmentFault: the store is away, full or not permitted.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        begun, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            try:
                return action(_connect(os.getpid()))
            except ClientError as error:
                code, fault = _code(error), self._fault(path, error)
                if fault is not None:
                    raise fault from error
                reason = code
            except ResponseParserError:
                reason = "an answer that is not XML"
            except BotoCoreError as error:
                if not _is_connection_lost(error):
                    raise EnvironmentFault(_unusable(self.url(path), error)) from error
                reason = type(error).__name__
            if time.monotonic() + pause > begun + PATIENCE_SECONDS:
                raise EnvironmentFault(
                    f"{self.url(path)} cannot be reached ({reason}), tried for {time.monotonic() - begun:.0f} s: "
                    "see that the store runs and has room for the requests, then run again."
                )
            if pause > 1:
                log.info("%s: %s; trying again.", self.url(path), reason)
            time.sleep(pause * random.uniform(0.5, 1))  # not all at the same moment
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _fault(self, path: str, error: Any) -> Exception | None:
        """What an answer of the store means; None if it may pass."""
        code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ABSENT_CODES:
            return FileNotFoundError(f"{self.url(path)} does not exist")
        if code in REFUSED_CODES:
            return _Refused()
        if code in FULL_CODES:
            return EnvironmentFault(f"No space is left for {self.url(path)}: free some, then run again.")
        if code == "NoSuchBucket":
            return EnvironmentFault(f"There is no bucket {self._bucket}: create it, or correct the setting.")
        if code in FORBIDDEN_CODES:
            _connect.cache_clear()  # credentials may have been renewed
            return EnvironmentFault(
                f"{self.url(path)} may not be read or written with these credentials ({code}): "
                "mend them or the bucket's policy, then run again."
            )
        if code == "InvalidObjectState":  # this object alone: a rule of the bucket moved it
            return UnreadableFile(
                f"{self.url(path)} was moved to an archive of the store (such as Glacier) and cannot be read there: "
                "have the store restore it, then run again."
            )
        if code in PASSING_CODES or status >= 500:
            return None
        return EnvironmentFault(f"{self.url(path)} cannot be used: the store answered {code}.")

    def check(self) -> None:
        self._list_page(self._below(""), MaxKeys=1)

    def require_exclusive_creation(self) -> None:
        """Raise ConfigurationError if the store overwrites where it was asked to create."""
        self.create_exclusively(PROBE, b"")
        if self.create_exclusively(PROBE, b""):
            raise ConfigurationError(
                f"{self.root}: this store does not honour 'If-None-Match: *', so two runs could overwrite each other's "
                "manifests; use one that does."
            )

    def exists(self, path: str) -> bool:
        try:
            self._attempt(path, lambda client: client.head_object(Bucket=self._bucket, Key=self._key(path)))
        except FileNotFoundError:
            return False
        return True

    def list_folder(self, path: str = "") -> list[Entry]:
        below, found = self._below(path), []
        for page in self._pages(below, Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                name = folder["Prefix"][len(below) :].removesuffix("/")
                found.append(Entry(name, "folder" if name else "other", 0, 0))  # a//b is no path
            found.extend(_entry(file, below) for file in page.get("Contents", ()) if file["Key"] != below)
        return sorted(found, key=lambda entry: entry.name.encode("utf-8", "surrogateescape"))

    def list_tree(self, path: str) -> list[Entry]:
        below = self._below(path)
        return [_entry(file, below) for page in self._pages(below) for file in page.get("Contents", ())]

    def entry(self, path: str) -> Entry:
        # Listed rather than asked for: only so are times the same as those of list_folder, to the millisecond.
        key = self._key(path)
        found = self._list_page(key, MaxKeys=1).get("Contents", ())
        if found and found[0]["Key"] == key:
            return _entry(found[0], self._below(path.rpartition("/")[0]))
        if self._list_page(f"{key}/", MaxKeys=1).get("Contents"):
            return Entry(path.rpartition("/")[2], "folder", 0, 0)
        raise FileNotFoundError(f"{self.url(path)} does not exist")

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict]:
        page = self._list_page(prefix, **options)
        yield page
        while page.get("IsTruncated"):
            page = self._list_page(prefix, ContinuationToken=page["NextContinuationToken"], **options)
            yield page

    def _list_page(self, prefix: str, **options: Any) -> dict:
        def list_objects(client: Any) -> dict:
            return _whole(client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **options), "IsTruncated")

        return self._attempt(prefix.removeprefix(self._below("")), list_objects)

    def open(self, path: str, version: str = "") -> IO[bytes]:
        first, size, version = self._read(path, 0, version)
        if len(first) == size:
            return io.BytesIO(first)
        return io.BufferedReader(_Reader(self, path, size, version, first), buffer_size=2**20)

    def _read(self, path: str, start: int, version: str) -> tuple[bytes, int, str]:
        """Return a block of an object, the size of the whole, and its version; all blocks are of that version."""
        condition = {"IfMatch": version} if version else {}
        block = f"bytes={start}-{start + BLOCK_BYTES - 1}"

        def read(client: Any) -> tuple[bytes, int, str]:
            from botocore.exceptions import ClientError

            wanted = {"Bucket": self._bucket, "Key": self._key(path), **condition}
            try:
                answer = client.get_object(**wanted, Range=block)
            except ClientError as error:
                if start or _code(error) not in ("InvalidRange", "416"):
                    raise
                answer = client.get_object(**wanted)  # nothing has no first byte
            with contextlib.closing(answer["Body"]) as body:
                content: bytes = body.read()
            said = answer.get("ContentRange", "").rpartition("/")[2]
            return content, int(said) if said.isdecimal() else len(content), answer["ETag"]

        try:
            return self._attempt(path, read)
        except _Refused as refused:
            raise ChangedWhileRead(f"{self.url(path)} was replaced while it was read.") from refused

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        upload = _Upload(self, path)
        try:
            yield upload  # type: ignore[misc]
            upload.finish()
        except BaseException:
            upload.abandon()
            raise

    def create_exclusively(self, path: str, data: bytes) -> bool:
        return self._put_if(path, data, {"IfNoneMatch": "*"})

    def _put_if(self, path: str, data: bytes, condition: dict[str, str]) -> bool:
        """Write an object if a condition holds; return whether it did."""
        # The answer may be lost after the object was written, and the repeated request is then refused: only the mark
        # tells whose it is.
        mark = uuid.uuid4().hex
        wanted = {"Bucket": self._bucket, "Key": self._key(path)}
        try:
            self._attempt(
                path, lambda client: client.put_object(**wanted, Body=data, Metadata={"writer": mark}, **condition)
            )
        except (_Refused, FileNotFoundError):  # what should be replaced may have been removed
            try:
                found = self._attempt(path, lambda client: client.head_object(**wanted))
            except FileNotFoundError:
                return False
            return bool(found.get("Metadata", {}).get("writer") == mark)
        return True

    def replace_version(self, path: str, data: bytes, version: str) -> bool:
        return self._put_if(path, data, {"IfMatch": version} if version else {"IfNoneMatch": "*"})

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._attempt(path, lambda client: client.delete_object(Bucket=self._bucket, Key=self._key(path)))

    def remove_unchanged(self, path: str, *, sha256: str, version: str) -> bool:
        wanted = {"Bucket": self._bucket, "Key": self._key(path)}
        try:
            # Asked for by itself, too: not every store looks at the condition of a DELETE.
            if self._attempt(path, lambda client: client.head_object(**wanted))["ETag"] != version:
                return False
            self._attempt(path, lambda client: client.delete_object(**wanted, IfMatch=version))
        except FileNotFoundError:
            return True
        except _Refused:
            return False
        return True

    def remove_stale_temporaries(self) -> None:
        """Give up uploads in parts that killed writers of ours began more than a day ago: the store charges for them.

        Which are ours is what the notes of :class:`_Upload` say: the bucket may be full of other people's.
        """
        oldest = dt.datetime.now(dt.UTC) - dt.timedelta(microseconds=STALE_AFTER_NS / 1000)
        for note in self.list_folder(TEMPORARY_FOLDER):
            path = f"{TEMPORARY_FOLDER}/{note.name}"
            if note.kind == "file" and note.mtime_ns / 1e9 < oldest.timestamp():
                with contextlib.suppress(FileNotFoundError):
                    self._abandon_uploads(self.read_bytes(path).decode(), oldest)
                self.remove(path)

    def _abandon_uploads(self, path: str, oldest: dt.datetime) -> None:
        """Give up every upload to ``path`` that was begun before ``oldest``."""
        for begun in self._uploads(path):
            if begun["Key"] == self._key(path) and begun["Initiated"] < oldest:
                self._abort(path, begun["UploadId"])

    def _uploads(self, path: str) -> Iterator[dict]:
        """Yield the uploads in parts that are open to objects whose keys begin like ``path``."""
        wanted = {"Bucket": self._bucket, "Prefix": self._key(path)}

        def list_uploads(client: Any) -> dict:
            return _whole(client.list_multipart_uploads(**wanted), "Bucket")

        while True:
            page = self._attempt(path, list_uploads)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            wanted |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _abort(self, path: str, upload_id: str) -> None:
        target = {"Bucket": self._bucket, "Key": self._key(path)}
        with contextlib.suppress(FileNotFoundError):
            self._attempt(path, lambda client: client.abort_multipart_upload(**target, UploadId=upload_id))

    def remove_empty_folder(self, path: str) -> None:
        """Remove the empty object ``path/`` with which some tools mark a folder, if nothing else is in it."""
        below = self._below(path)
        found = self._list_page(below, MaxKeys=2).get("Contents", ())
        if [(file["Key"], file["Size"]) for file in found] == [(below, 0)]:
            self.remove(f"{path}/")

    def free_bytes(self) -> int | None:
        return None

    @contextlib.contextmanager
    def lock(self, path: str, wait_seconds: float) -> Iterator[None]:
        yield


class _Refused(Exception):
    """A condition of a request does not hold."""


class _Reader(io.RawIOBase):
    """Reads an object block by block; all blocks are of one version of it."""

    def __init__(self, storage: ObjectStorage, path: str, size: int, version: str, first: bytes) -> None:
        self._storage, self._path, self._size, self._version = storage, path, size, version
        self._block, self._block_at = first, 0
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        if not 0 <= self._at - self._block_at < len(self._block):
            self._block, _, _ = self._storage._read(self._path, self._at, self._version)
            self._block_at = self._at
        begin = self._at - self._block_at
        piece = self._block[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class _Upload(io.RawIOBase):
    """Collects what is written: a small file is one request, a large one is sent in parts and appears at the end.

    Parts are invisible until then, and stay if the writer is killed. So before they are begun a note in ``.tmp`` says
    to which path; it is removed with the upload.
    """

    def __init__(self, storage: ObjectStorage, path: str) -> None:
        self._storage, self._path = storage, path
        self._target = {"Bucket": storage._bucket, "Key": storage._key(path)}
        self._pending = bytearray()
        self._id, self._mark = "", uuid.uuid4().hex
        self._note = f"{TEMPORARY_FOLDER}/{self._mark}"
        self._parts: list[dict] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._pending += view
        while len(self._pending) >= PART_BYTES:
            self._send(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]
        return len(view)

    def finish(self) -> None:
        if not self._id:
            content = bytes(self._pending)
            self._attempt(lambda client: client.put_object(**self._target, Body=content))
            return
        if self._pending:
            self._send(bytes(self._pending))
        self._join()
        self._storage.remove(self._note)

    def _join(self) -> None:
        """Make one object of the parts."""
        parts, upload_id = {"Parts": self._parts}, self._id
        try:
            self._attempt(
                lambda client: _whole(
                    client.complete_multipart_upload(**self._target, UploadId=upload_id, MultipartUpload=parts), "ETag"
                )
            )
        except FileNotFoundError as gone:
            # The answer may have been lost after the parts were joined; the repeated request finds no upload then.
            found = self._attempt(lambda client: client.head_object(**self._target))
            if found.get("Metadata", {}).get("writer") != self._mark:
                raise EnvironmentFault(
                    f"{self._storage.url(self._path)}: the store dropped the parts of an upload; run again."
                ) from gone

    def abandon(self) -> None:
        """Leave no parts behind, as far as the store can be reached."""
        if self._id:
            with contextlib.suppress(EnvironmentFault):
                self._storage._abort(self._path, self._id)
                self._storage.remove(self._note)

    def _send(self, content: bytes) -> None:
        if not self._id:
            self._storage.write_bytes(self._note, self._path.encode())
            marked = {**self._target, "Metadata": {"writer": self._mark}}
            begun = self._attempt(lambda client: _whole(client.create_multipart_upload(**marked), "UploadId"))
            self._id = begun["UploadId"]
        number = len(self._parts) + 1
        answer = self._attempt(
            lambda client: client.upload_part(**self._target, UploadId=self._id, PartNumber=number, Body=content)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _attempt(self, action: Callable[[Any], Any]) -> Any:
        return self._storage._attempt(self._path, action)


def _whole(answer: dict, part: str) -> dict:
    """The answer, if it has the part that is in every one; else the connection was lost between its head and its body,
    which botocore takes for an answer that says nothing.
    """
    from botocore.parsers import ResponseParserError

    if part not in answer:
        raise ResponseParserError(f"an answer without {part}")
    return answer


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_connection_lost(error: Exception) -> bool:
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError

    return isinstance(error, (NoConnection, HTTPClientError, IncompleteReadError, FlexibleChecksumError))


def _unusable(url: str, error: Exception) -> str:
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)):
        return (
            f"There are no credentials for {url}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or "
            "TOUNUM_S3_CONNECTION."
        )
    return f"{url} cannot be used: {type(error).__name__}; see the AWS settings of the environment."


def _entry(file: dict, below: str) -> Entry:
    mtime_ns = int(file["LastModified"].timestamp() * 1000) * 10**6
    return Entry(file["Key"][len(below) :], "file", file["Size"], mtime_ns, file["ETag"], changed_ns=mtime_ns)
