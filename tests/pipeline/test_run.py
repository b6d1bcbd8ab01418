"""``python -m tounum_tasks run``: all stages in one process."""

import json
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.fuzz import write_mutated_batch
from tests.pipeline.conftest import FEW, Command, command_in
from tounum_tasks.manifest.schema import ITEM_COLUMNS
from tounum_tasks.names import is_ignored
from tounum_tasks.visible import display_name


@dataclass(frozen=True)
class Night:
    """What a run has emptied and filled, and what it printed."""

    ingest: Path
    lake: Path
    said: str


def deliver(sample: Path, ingest: Path) -> None:
    shutil.copytree(sample, ingest / "Sample", copy_function=shutil.copy2)


def manifest(lake: Path) -> pd.DataFrame:
    return pd.read_parquet(lake / "manifests").sort_values(["source_path", "page"]).reset_index(drop=True)


def rows_of(lake: Path) -> pd.DataFrame:
    """The manifest without the columns that say where things lie."""
    return manifest(lake)[[name for name in ITEM_COLUMNS if not name.endswith("_uri")]]


@pytest.fixture(scope="module")
def night(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The sample batch after its first run."""
    folder = tmp_path_factory.mktemp("night")
    deliver(sample, folder / "ingest")
    done = command_in(folder / "elsewhere")("run", "--ingest", folder / "ingest", "--lake", folder / "lake")
    assert done.returncode == 0, done.stderr
    return Night(folder / "ingest", folder / "lake", done.stdout)


def test_the_sample_batch_comes_out_whole(tounum: Command, sample: Path, few: Path, night: Night) -> None:
    rows = manifest(night.lake)
    files = {str(path.relative_to(sample)) for path in sample.rglob("*") if path.is_file() and path.name != "_READY"}
    assert set(rows.source_path) == files
    assert not rows.duplicated(["source_path", "page"]).any()
    assert set(rows.status) == {"ok", "quarantined"}
    assert set(rows[rows.status == "ok"].label) == {"Painting", "Photo", "Schematics", "Sketch", "Text"}
    photos = rows[rows.is_photo == True]  # noqa: E712 - a nullable column
    assert photos.caption.str.len().gt(0).all() and rows[rows.is_photo == False].caption.isna().all()  # noqa: E712
    for uri in [*rows.destination_uri, *rows.original_uri]:
        assert Path(uri.removeprefix("file://")).is_file()
    assert all(path in night.said for path in files if path.isascii() and len(path) < 40)
    assert not any(night.ingest.iterdir())
    _commands_say_the_same(tounum, few, rows)


def _commands_say_the_same(tounum: Command, few: Path, rows: pd.DataFrame) -> None:
    """``caption`` gives an image the class, the words and the error that a run gives it."""
    told = tounum("caption", few, "--json", "-", TOUNUM_MAX_FAILURE_RATE="1")
    assert told.returncode == 0, told.stderr
    found = pd.DataFrame(json.loads(line) for line in told.stdout.splitlines())
    found["source_path"] = [str(Path(path).relative_to(few)) for path in found.path]
    both = rows.merge(found, on=["source_path", "page"], suffixes=("", "_told"), validate="one_to_one")
    assert len(both) == len(found) == rows.source_path.isin(FEW).sum()
    for column in ("label", "caption", "error_code"):
        assert list(both[column].fillna("none")) == list(both[f"{column}_told"].fillna("none")), column
    readable = both[both.label.notna()]
    assert (readable.needs_review == readable.needs_review_told).all()
    assert (readable.confidence - readable.confidence_told).abs().max() < 0.001


def test_doubtful_captions_are_replaced_as_the_setting_says_and_the_command_says_the_same(
    tounum: Command, sample: Path, tmp_path: Path
) -> None:
    photos = [sample / "photographs" / name for name in ("astronaut.jpg", "cat.png", "workshop, underexposed.jpg")]
    found: dict[str, pd.DataFrame] = {}
    for setting in ("keep", "short", "none"):
        batch = tmp_path / "ingest" / "Photos"
        batch.mkdir(parents=True)
        for photo in photos:
            shutil.copy2(photo, batch)
        (batch / "_READY").touch()
        choice = {"TOUNUM_DOUBTFUL_CAPTIONS": setting, "TOUNUM_CAPTION_REVIEW_CONFIDENCE": "1"}
        done = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / setting, **choice)
        assert done.returncode == 0, done.stderr
        rows = manifest(tmp_path / setting)
        found[setting] = rows[rows.is_photo == True]  # noqa: E712 - a nullable column
        told = tounum("caption", *photos, "--json", "-", **choice)
        lines = [json.loads(line) for line in told.stdout.splitlines()]
        captions = {Path(line["path"]).name: line["caption"] or "" for line in lines if line["label"] == "Photo"}
        assert captions == dict(zip(found[setting].source_path, found[setting].caption.fillna(""), strict=True))
    for setting in ("short", "none"):
        kept, replaced = found["keep"], found[setting]
        assert len(kept) and all(alternatives[0] == before for alternatives, before in
                                 zip(replaced.caption_alternatives, kept.caption, strict=True))  # fmt: skip
        assert all("caption" in reasons for reasons in replaced.review_reasons)
    assert found["none"].caption.isna().all()
    said = found["short"].caption.dropna()  # nothing, where nothing is sure
    assert len(said) and (said.str.split().str.len() <= 3 + 4).all()


def test_an_item_alone_and_among_others_gives_the_same_row(
    tounum: Command, few: Path, night: Night, tmp_path: Path
) -> None:
    """No stage lets an image's neighbours change its result, be they in its shard or elsewhere in its batch."""
    deliver(few, tmp_path / "ingest")
    one_by_one = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "small", TOUNUM_SHARD_SIZE="3")
    assert one_by_one.returncode == 0, one_by_one.stderr
    among_others, by_themselves = rows_of(night.lake), rows_of(tmp_path / "small")
    among_others = among_others[among_others.source_path.isin(FEW)].reset_index(drop=True)
    pd.testing.assert_frame_equal(among_others.drop(columns="batch_id"), by_themselves.drop(columns="batch_id"))


def test_a_killed_run_goes_on_where_it_was(tounum: Command, sample: Path, tmp_path: Path) -> None:
    """SIGKILL when a step begins; the same command then gives the manifest of an undisturbed run."""
    few = tmp_path / "few"
    for name in ("photographs/cat.png", "photographs/copy broke off.jpg", "texts/letter.jpg"):
        (few / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample / name, few / name)
    (few / "_READY").touch()

    def run(name: str, kill_at: str = "") -> int:
        places = ("--ingest", tmp_path / f"ingest {name}", "--lake", tmp_path / name)
        return tounum("run", *places, "--max-failure-rate", "1", kill_at=kill_at).returncode

    deliver(few, tmp_path / "ingest undisturbed")
    assert run("undisturbed") == 0
    for step in ("classify", "caption"):
        deliver(few, tmp_path / f"ingest {step}")
        assert run(step, kill_at=f": {step}") == -signal.SIGKILL
        assert not (tmp_path / step / "manifests").exists()
        assert run(step) == 0
        pd.testing.assert_frame_equal(rows_of(tmp_path / "undisturbed"), rows_of(tmp_path / step))


def test_a_second_run_computes_nothing(tounum: Command, night: Night) -> None:
    first = manifest(night.lake)
    again = tounum("run", "--ingest", night.ingest, "--lake", night.lake)
    assert again.returncode == 0
    assert [line for line in again.stderr.splitlines() if " computed" in line and " 0 computed" not in line] == []
    pd.testing.assert_frame_equal(manifest(night.lake), first)


def test_nothing_arrived_is_a_success(tounum: Command, tmp_path: Path) -> None:
    (tmp_path / "ingest").mkdir()
    done = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake")
    assert done.returncode == 0 and "othing arrived" in done.stdout + done.stderr


def test_a_batch_that_must_wait_is_named_and_stays(tounum: Command, tmp_path: Path) -> None:
    (tmp_path / "ingest" / "Box 9").mkdir(parents=True)
    (tmp_path / "ingest" / "Box 9" / "a.jpg").write_bytes(b"x")
    done = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake")
    assert done.returncode == 0 and "Box 9" in done.stdout and "_READY" in done.stdout
    assert (tmp_path / "ingest" / "Box 9" / "a.jpg").exists()


def test_log_lines_name_batch_shard_and_item_and_no_file_name_can_forge_one(tounum: Command, tmp_path: Path) -> None:
    box = tmp_path / "ingest" / "box"
    box.mkdir(parents=True)
    (box / "_READY").touch()
    forged = '12:00:00 INFO batch=other shard=9 All is "well".png'
    (box / "plain.png").write_bytes(b"no image")
    (box / f"a\n{forged}").write_bytes(b"no image")
    (box / "\x1b[2J\u202egnp.png").write_bytes(b"no image")
    done = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake", "--max-failure-rate", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d [A-Z]+ ", line) for line in lines), done.stderr
    assert not any(line.startswith("12:00:00") for line in lines)
    about_shard = re.compile(r"\S+ INFO batch=(box-[0-9a-f]{10}) shard=0 Shard 1 of 1: classify")
    (batch,) = [found[1] for line in lines if (found := about_shard.fullmatch(line))]
    told = [line.partition(" ")[2] for line in lines if "Cannot be used" in line]
    assert [line.partition(" Cannot")[0] for line in sorted(told)] == [
        f'WARNING batch={batch} shard=0 path="\\u001b[2J\\u202egnp.png" page=1',
        f'WARNING batch={batch} shard=0 path="a\\u000a{forged}" page=1'.replace('"well"', '\\"well\\"'),
        f"WARNING batch={batch} shard=0 path=plain.png page=1",
    ]
    assert any(re.search(rf" INFO batch={batch} Version 1 published", line) for line in lines)


def test_too_many_failures_end_with_1_after_publishing(tounum: Command, tmp_path: Path) -> None:
    box = tmp_path / "ingest" / "Box"
    box.mkdir(parents=True)
    for number in range(3):
        (box / f"{number}.jpg").write_bytes(b"no image")
    (box / "_READY").touch()
    done = tounum("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake")
    assert done.returncode == 1 and "3 of 3 images" in done.stderr
    assert list(manifest(tmp_path / "lake").status) == ["quarantined"] * 3


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (["--ingest", "absent"], {}, "does not exist"),
        (["--batch-date", "31.1.2026"], {}, "no batch date"),
        (["--batch-id", "../x"], {}, "no batch id"),
        (["--batch-id", "unknown-1"], {}, "no batch 'unknown-1'"),
        (["--captioner", "none-such"], {}, "none-such"),
        (["--max-failure-rate", "2"], {}, "MAX_FAILURE_RATE"),
        ([], {"TOUNUM_TIMEZONE": "Mars/Olympus"}, "TOUNUM_TIMEZONE"),
        ([], {"TOUNUM_SHARD_SIZE": "many"}, "TOUNUM_SHARD_SIZE"),
        (["--ingest", "lake/in"], {}, "inside"),
        (["--ingest", "ftp://x/y"], {}, "s3://"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    tounum: Command, arguments: list[str], variables: dict[str, str], expected: str
) -> None:
    done = tounum("run", "--lake", "lake", *arguments, **variables)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tounum: ")]) == 1


def test_hundreds_of_damaged_files_have_a_row_each(tounum: Command, tmp_path: Path) -> None:
    """Truncated, bit-flipped, bombs, wrong endings, empty, odd names: nothing crashes, stops or vanishes."""
    box = tmp_path / "ingest" / "Odd ones"
    files = write_mutated_batch(box, 250, seed=20260301)
    (box / "_READY").touch()
    names = {display_name(str(path.relative_to(box))) for path in files if not is_ignored(path.name)}
    done = tounum(
        "run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake", "--max-failure-rate", "1",
        TOUNUM_MAX_PIXELS="30000000",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = manifest(tmp_path / "lake")
    assert set(rows.source_path) == names and len(rows) >= 250
    assert set(rows.status) == {"ok", "quarantined"}
    bad = rows[rows.status == "quarantined"]
    assert bad.error_code.notna().all() and bad.error_message.str.len().between(5, 400).all()
    assert "internal" not in set(bad.error_code)
