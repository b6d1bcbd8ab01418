"""What people who deliver files, trigger runs or hand in models may try: see docs/security.md."""

import contextlib
import json
import os
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.unit.test_registry import make_version
from tests.unit.test_take_in import DATE, House, png
from tounum_tasks.errors import ConfigurationError, TounumError
from tounum_tasks.features.inception import read_npz
from tounum_tasks.intake.take_in import take_in
from tounum_tasks.items import read_items
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.names import validate_batch_date, validate_batch_id
from tounum_tasks.plan import RunRequest
from tounum_tasks.report.paths import report_path
from tounum_tasks.store.base import Storage
from tounum_tasks.store.folder import forbid_world_writing
from tounum_tasks.store.open import open_storage

SECRET = b"what nobody may see"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def ingest_of(house: House) -> Storage:
    """Ingest as the pipeline opens it."""
    return open_storage(str(house.ingest), untrusted=True)


# Ingest


def test_a_folder_that_becomes_a_link_leads_nowhere(house: House, tmp_path: Path) -> None:
    """Between listing and reading somebody puts a link in the place of a folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(SECRET)
    house.drop("box/inner/a.png", png(1))
    ingest = ingest_of(house)
    (house.ingest / "box" / "inner").rename(tmp_path / "aside")
    (house.ingest / "box" / "inner").symlink_to(outside)
    with pytest.raises(FileNotFoundError):
        ingest.read_bytes("box/inner/a.png")
    with pytest.raises(FileNotFoundError):
        ingest.entry("box/inner/a.png")
    assert ingest.list_folder("box/inner") == []
    ingest.remove("box/inner/a.png")
    ingest.remove_empty_folder("box/inner")
    assert (outside / "a.png").read_bytes() == SECRET and (house.ingest / "box" / "inner").is_symlink()


def test_a_race_of_folder_and_link_is_never_won(house: House, tmp_path: Path) -> None:
    outside, inner, aside = tmp_path / "outside", house.ingest / "box" / "inner", tmp_path / "aside"
    outside.mkdir()
    (outside / "a.png").write_bytes(SECRET)
    house.drop("box/inner/a.png", png(1))
    link = tmp_path / "link"
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            inner.rename(aside)
            link.symlink_to(outside)
            link.rename(inner)
            inner.unlink()
            aside.rename(inner)

    attacker = threading.Thread(target=swap)
    attacker.start()
    ingest, seen = ingest_of(house), set()
    try:
        for _ in range(1500):
            with contextlib.suppress(FileNotFoundError, TounumError):
                seen.add(ingest.read_bytes("box/inner/a.png"))
    finally:
        over.set()
        attacker.join()
    assert SECRET not in seen


def test_an_intake_whose_folder_becomes_a_link_takes_nothing_from_elsewhere(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.png").write_bytes(SECRET)
    house.drop("box/a.png", png(1))
    house.drop("box/inner/b.png", bytes(len(SECRET)))
    house.ready("box")
    ingest = ingest_of(house)
    read = ingest.open

    def swap_then_read(path: str, version: str = "") -> object:
        inner = house.ingest / "box" / "inner"
        if path.endswith("a.png") and not inner.is_symlink():
            inner.rename(tmp_path / "aside")
            inner.symlink_to(outside)
        return read(path, version)

    monkeypatch.setattr(ingest, "open", swap_then_read)
    taken = take_in(ingest, house.lake, DATE, house.settings)
    assert taken.batches == () and "while it was taken in" in taken.waiting[0]
    assert (outside / "b.png").read_bytes() == SECRET
    assert not any(path.read_bytes() == SECRET for path in (tmp_path / "lake").rglob("*") if path.is_file())


def test_a_hard_link_is_copied_and_the_other_name_stays(house: House, tmp_path: Path) -> None:
    mine = tmp_path / "mine.png"
    mine.write_bytes(png(7))
    house.drop("box/_READY", b"")
    (house.ingest / "box" / "a.png").hardlink_to(mine)
    (item,) = house.items(house.take())
    original = house.lake.local_path(item.original)
    assert mine.read_bytes() == png(7) and original.stat().st_ino != mine.stat().st_ino
    mine.write_bytes(b"changed afterwards")
    assert original.read_bytes() == png(7)


def test_a_file_that_grows_while_it_is_read_is_not_followed_for_ever(house: House, monkeypatch) -> None:
    path = house.drop("box/a.png", png(1))
    house.ready("box")
    ingest = ingest_of(house)
    chunk = ingest._read_chunk

    def grow_then_read(name: str, reader) -> bytes:
        with path.open("ab") as file:
            file.write(bytes(2**20))
        return chunk(name, reader)

    monkeypatch.setattr(ingest, "_read_chunk", grow_then_read)
    taken = take_in(ingest, house.lake, DATE, house.settings)
    assert taken.batches == () and "changed while it was taken in" in taken.waiting[0]
    assert path.stat().st_size < 2**23


def test_what_is_written_has_our_permissions_and_not_those_of_the_delivery(house: House, tmp_path: Path) -> None:
    house.drop("box/a.png", png(1)).chmod(0o6777)
    house.ready("box")
    child = os.fork()
    if child == 0:
        os.umask(0)  # as some containers start
        forbid_world_writing()
        os._exit(0 if len(house.take().batches) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    for path in (tmp_path / "lake").rglob("*"):
        mode = path.stat().st_mode
        assert not mode & 0o002, path
        assert path.is_dir() or not mode & 0o6111, path


def test_a_batch_that_cannot_be_looked_into_does_not_hold_up_the_others(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("taking permissions from somebody needs root")
    house.drop("closed/inner/a.png", png(1))
    house.ready("closed")
    house.drop("open/a.png", png(2))
    house.ready("open")
    (house.ingest / "closed" / "inner").chmod(0)
    for path in (house.ingest, *house.ingest.parents):
        path.chmod(path.stat().st_mode | 0o055)
    for path in (house.ingest, house.ingest / "open", house.ingest / "closed"):
        path.chmod(0o777)
    (house.ingest.parent / "lake").mkdir(mode=0o777)
    (house.ingest.parent / "lake").chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        taken = house.take()
        told = "Batch 'closed' stays in ingest" in taken.faults[0] and "permissions" in taken.faults[0]
        os._exit(0 if told and len(taken.batches) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_folders_deeper_than_a_path_may_be_long_are_taken_in(house: House) -> None:
    descriptor = os.open(house.ingest, os.O_RDONLY)
    for name in ("deep", *(["d" * 200] * 25)):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    file = os.open("a.png", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor)
    os.write(file, png(1))
    os.close(file)
    os.close(descriptor)
    house.ready("deep")
    taken = take_in(ingest_of(house), house.lake, DATE, house.settings)
    (item,) = read_items(house.lake, *taken.batches[0])
    assert item.error_code == "name_refused" and house.lake.read_bytes(item.original) == png(1)
    assert list(house.ingest.iterdir()) == []


# Parameters of runs

EVIL = [
    "../../etc/passwd", "..", ".", "/etc", "a/b", "a\\b", "a\0b", "a\n", "A", "-a", "a" * 81, "a b", "{{ 7*7 }}",
    "{% x %}", "${HOME}", "$(id)", "a;b", "%2e%2e", "s3://x", "\u202ea", "é", "*", "?",
]  # fmt: skip


@pytest.mark.parametrize("value", EVIL)
def test_parameters_that_are_no_ids_are_refused(value: str, tmp_path: Path) -> None:
    for validate in (validate_batch_id, validate_batch_date):
        with pytest.raises(ConfigurationError):
            validate(value)
    with pytest.raises(ConfigurationError):
        RunRequest(run_id="r", batch_id=value)
    with pytest.raises(ConfigurationError):
        RunRequest(run_id="r", batch_date=value)
    if value not in ("a" * 81, "-a"):  # "a" * 81 is no batch, but could not be a version either
        for name, version in (("classifier", value), (value, "production")):
            with pytest.raises(ConfigurationError):
                Registry(str(tmp_path / "lake")).resolve(name, version)


@pytest.mark.parametrize(
    "value", ["2026-1-1", "2026-02-30", "20260101", "2026-W01-1", "2026-01-01T00:00", "٢٠٢٦-٠١-٠١"]
)
def test_dates_that_are_no_dates_are_refused(value: str) -> None:
    with pytest.raises(ConfigurationError):
        RunRequest(run_id="r", batch_date=value)


@pytest.mark.parametrize("run_id", [*EVIL, "manual__2026-01-01T00:00:00+00:00/../../x", "x" * 250])
def test_a_run_id_never_becomes_a_path_by_itself(run_id: str) -> None:
    folder, name = report_path("2026-01-01", run_id).rsplit("/", 1)
    assert folder == "reports/2026-01-01" and len(name) < 150
    assert all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in name) and ".." not in name


# Models


def safetensors(header: bytes, *, length: int | None = None, data: bytes = bytes(16)) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(**values: object) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **values}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        safetensors(b"{}", length=2**63),
        safetensors(b"{}", length=2**40),
        safetensors(b"not json"),
        safetensors(b"[" * 100_000),
        safetensors(tensor(data_offsets=[0, 2**62])),
        safetensors(tensor(data_offsets=[16, 0])),
        safetensors(tensor(data_offsets=[-16, 0])),
        safetensors(tensor(shape=[2**40, 2**40])),
        safetensors(tensor(shape=[-4])),
        safetensors(tensor(dtype="OBJECT")),
        safetensors(tensor(dtype="F32", shape=[1])),
        safetensors(tensor()[:-1] + b',"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
    ],
)
def test_weights_with_hostile_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="Cannot read the weights"):
        read_safetensors(path)


class Exploit:
    def __reduce__(self) -> tuple:
        return os._exit, (66,)


def test_npz_files_run_nothing_and_do_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.array([Exploit()], dtype=object))
    with pytest.raises(ConfigurationError):
        read_npz(path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigurationError):
        read_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        file.write(b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000,), }")
        for _ in range(200):
            file.write(bytes(2**20))
    with zipfile.ZipFile(path) as archive:
        packed = sum(entry.compress_size for entry in archive.infolist())
    assert packed < 10**6
    with pytest.raises(ConfigurationError, match="Cannot read"):
        read_npz(path)


def test_a_model_whose_file_is_a_link_out_of_its_folder_is_copied_by_content_or_refused(tmp_path: Path) -> None:
    folder = make_version(tmp_path / "out")
    (tmp_path / "secret").write_bytes(SECRET)
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match="damaged"):
        Registry(str(tmp_path / "lake")).register(folder)
