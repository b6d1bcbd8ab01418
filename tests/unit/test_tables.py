"""Parquet files of ours: whatever bit of them is changed, it is noticed; everybody else reads them as they are."""

import io
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tounum_tasks.errors import DamagedFile
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes, read_metadata, read_rows, read_table

ROWS = [
    {
        "fingerprint": f"{number:064x}",
        "caption": f"a man rides {number} horses",
        "confidence": number / 7,
        "words": ["a"],
    }
    for number in range(12)
]
TABLE = pa.Table.from_pylist(ROWS).replace_schema_metadata({b"published_by": b"a run"})


@pytest.fixture
def lake(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path))


def test_every_single_bit_that_changes_is_noticed(lake: Storage, tmp_path: Path) -> None:
    content = parquet_bytes(TABLE, row_group_size=5)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        (tmp_path / "a.parquet").write_bytes(damaged)
        try:
            found = list(read_rows(lake, "a.parquet"))
            assert found == ROWS == read_table(lake, "a.parquet").to_pylist(), at
            assert read_metadata(lake, "a.parquet")[b"published_by"] == b"a run", at
        except DamagedFile as error:
            assert "a.parquet is damaged" in str(error) and "restore it" in str(error)


@pytest.mark.parametrize("kept", [0, 3, 4, 8, 12, 200, -1])
def test_a_file_that_was_cut_is_damaged(lake: Storage, kept: int) -> None:
    lake.write_bytes("a.parquet", parquet_bytes(TABLE)[:kept])
    for read in (read_table, read_metadata, lambda *where: list(read_rows(*where))):
        with pytest.raises(DamagedFile, match=r"a\.parquet is damaged"):
            read(lake, "a.parquet")


def test_a_column_is_checked_without_the_others(lake: Storage) -> None:
    content = bytearray(parquet_bytes(TABLE))
    lake.write_bytes("a.parquet", bytes(content))
    first, second = (pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(number) for number in (0, 1))
    content[first.dictionary_page_offset + first.total_compressed_size - 2] ^= 1
    lake.write_bytes("a.parquet", bytes(content))
    with pytest.raises(DamagedFile):
        read_table(lake, "a.parquet", [first.path_in_schema])
    assert read_table(lake, "a.parquet", [second.path_in_schema]).num_rows == len(ROWS)


def test_a_part_is_read_without_the_others(lake: Storage) -> None:
    rows = [{"shard": number // 4, "name": f"{number}.png"} for number in range(12)]
    content = bytearray(parquet_bytes(pa.Table.from_pylist(rows), row_group_size=5))
    lake.write_bytes("a.parquet", bytes(content))
    for shard in range(4):
        found = read_table(lake, "a.parquet", only=("shard", shard)).to_pylist()
        assert found == [row for row in rows if row["shard"] == shard]
    last = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(2).column(1)
    content[last.dictionary_page_offset + last.total_compressed_size - 2] ^= 1
    lake.write_bytes("a.parquet", bytes(content))
    assert len(read_table(lake, "a.parquet", only=("shard", 0))) == 4
    with pytest.raises(DamagedFile, match=r"a\.parquet is damaged"):
        read_table(lake, "a.parquet", only=("shard", 2))


def test_files_of_the_first_releases_are_read(lake: Storage) -> None:
    buffer = io.BytesIO()
    pq.write_table(TABLE, buffer, compression="zstd")
    lake.write_bytes("a.parquet", buffer.getvalue())
    assert read_table(lake, "a.parquet", ["caption", "not there yet"]).to_pylist() == [
        {"caption": row["caption"]} for row in ROWS
    ]
    lake.write_bytes("a.parquet", buffer.getvalue()[:-100])
    with pytest.raises(DamagedFile):
        read_table(lake, "a.parquet")


def test_other_readers_see_nothing_but_the_rows_and_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_bytes(TABLE))
    assert pq.read_table(path, page_checksum_verification=True).to_pylist() == ROWS
    assert pd.read_parquet(path).caption.tolist() == [row["caption"] for row in ROWS]
    assert duckdb.sql(f"select count(*), max(confidence) from '{path}'").fetchall() == [(12, 11 / 7)]


def test_the_same_rows_give_the_same_bytes() -> None:
    assert parquet_bytes(TABLE) == parquet_bytes(TABLE)
