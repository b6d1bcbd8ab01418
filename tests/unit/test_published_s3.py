"""Manifests, their history and models in a bucket: published once, compared, restored, pruned, promoted."""

import datetime as dt
import json
import os
from pathlib import Path

import pytest

from tests.s3_server import BUCKET, S3Server
from tests.unit.published import DATE, caption_all, drop_pages, pin, process
from tests.unit.published_s3 import S3Night, objects, to_archive
from tests.unit.test_registry import as_weights, make_version
from tounum_tasks.cli.main import main
from tounum_tasks.errors import DamagedFile
from tounum_tasks.history.prune import prune
from tounum_tasks.intake.register import register
from tounum_tasks.manifest.read import history_path, manifest_path, read_version, versions
from tounum_tasks.models.registry import Registry
from tounum_tasks.plan import RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.store.open import open_storage


@pytest.fixture
def night(s3: S3Server, tmp_path: Path) -> S3Night:
    return S3Night(tmp_path, noisy=True)


@pytest.fixture
def two_versions(night: S3Night) -> S3Night:
    """Photographs that were captioned, and captioned again without enhancement."""
    for number, (caption, enhancement) in enumerate((("a dog", "classic"), ("a cat", "off"))):
        plan = night.plan(str(number), captioner=pin("captioner", str(number)), enhancement=enhancement)
        caption_all(plan, night.settings, caption)
        night.publish(plan)
    return night


def test_of_publishers_at_once_one_wins_and_the_others_change_nothing(night: S3Night) -> None:
    plans = []
    for label in ("Text", "Sketch", "Painting", "Schematics"):
        plan = night.plan(label, classifier=pin("classifier", label.lower()))
        process(plan, night.settings, label=label)
        plans.append(plan)
    children = []
    for plan in plans:
        child = os.fork()
        if child == 0:
            outcome = night.publish(plan)["outcome"]
            os._exit({"published": 0, "stale": 1}[outcome])
        children.append(child)
    outcomes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(outcomes) == [0, 1, 1, 1]
    winner = plans[outcomes.index(0)]
    before = night.lake.read_bytes(manifest_path(DATE, night.batch_id))
    late = plans[outcomes.index(1)]
    assert night.publish(late)["outcome"] == "stale"
    assert versions(night.lake, DATE, night.batch_id) == [1]
    assert night.lake.read_bytes(manifest_path(DATE, night.batch_id)) == before
    assert set(night.column(winner, "run_id")) == {winner.run_id}
    for name in ("0.png", "1.png", "2.png"):
        assert night.copies(name) == [f"non_photos/{winner.run_id.lower()}"]
    assert night.copies("broken.jpg") == ["quarantine"]


def test_history_is_listed_compared_and_restored(two_versions: S3Night, capsys: pytest.CaptureFixture[str]) -> None:
    night, where = two_versions, ["--lake", f"s3://{BUCKET}/lake", "--batch", two_versions.batch_id]
    photo = f"lake/photos/{DATE}/{night.batch_id}/0.png"
    second = objects()[photo]
    assert main(["history", *where, "--json", "-"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["version"], row["current"]) for row in listed] == [(1, False), (2, True)]
    assert main(["diff", *where, "--from", "1", "--to", "2", "--json", "-"]) == 0
    changes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {change["after"].get("caption") for change in changes if "after" in change} == {"a cat", None}
    environment = {name: getattr(night.settings, f"{name}_root") for name in ("non_photos", "quarantine")}
    with pytest.MonkeyPatch.context() as patch:
        for name, root in environment.items():
            patch.setenv(f"TOUNUM_{name.upper()}_ROOT", root)
        assert main(["restore", *where, "--version", "1"]) == 0
    table = night.lake_table(night.batch_id)
    assert set(table["manifest_version"].to_pylist()) == {3}
    assert table["caption"].to_pylist()[:3] == ["a dog"] * 3
    assert objects()[photo] != second


def test_caches_and_history_that_a_rule_of_the_bucket_moved_to_an_archive_stop_no_night(two_versions: S3Night) -> None:
    """What lies in Glacier cannot be read: what is a cache is made again, the rest is named."""
    night, older = two_versions, ("lake/search/", "lake/stages/", "lake/manifests_history/")
    to_archive(*(name for name in objects() if name.startswith(older)))
    with pytest.raises(DamagedFile, match=r"1\.parquet was moved to an archive .*: have the store restore it"):
        read_version(night.lake, DATE, night.batch_id, 1)
    drop_pages(night.settings, count=4)
    next(Path(night.settings.ingest_root.removeprefix("file://")).rglob("broken.jpg")).unlink()  # it came before
    request = RunRequest(run_id="register", batch_id=night.batch_id)
    assert [batch.base_version for batch in register(request, night.settings).batches] == [2]
    plan = night.plan("third", captioner=pin("captioner", "1"))
    caption_all(plan, night.settings, "a cat")
    done = publish.run(plan, night.settings)["batches"]
    assert sorted(batch["outcome"] for batch in done) == ["published", "unchanged"]


def test_what_nothing_needs_is_pruned(two_versions: S3Night) -> None:
    night = two_versions
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
    before = objects()
    found = list(prune(night.lake, keep_days=30, now=later, remove=True))
    assert set(before) - set(objects()) == {f"lake/{one.path}" for one in found}
    assert history_path(DATE, night.batch_id, 1) in {one.path for one in found}
    assert {"history", "stages/measure_and_enhance", "stages/caption"} <= {one.kind for one in found}
    assert versions(night.lake, DATE, night.batch_id) == [2]
    assert night.publish(night.plan("again", captioner=pin("captioner", "1")))["outcome"] == "unchanged"


def test_prune_leaves_a_batch_alone_whose_caches_a_rule_moved_to_an_archive(
    two_versions: S3Night,
) -> None:
    """What an archived file holds is not known: the version that is current may need it."""
    night = two_versions
    others = [name for name in objects() if name.startswith("lake/stages/caption/")]
    to_archive(*(name for name in objects() if name.startswith(("lake/stages/", "lake/features/"))), but=others)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
    before = objects()
    with pytest.raises(DamagedFile, match=f"Nothing of {night.batch_id} is removed: .* was moved to an archive"):
        list(prune(night.lake, keep_days=30, now=later, remove=True))
    assert objects() == before


def test_models_are_registered_promoted_and_loaded_from_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    make_version(tmp_path / "starters", version="starter-1", content=b"starter")

    def registry(cache: str) -> Registry:
        return Registry(f"s3://{BUCKET}/lake", cache=tmp_path / cache, starters=tmp_path / "starters")

    for version in ("v1", "v2"):
        folder = make_version(tmp_path / "out", version=version, content=version.encode())
        registry("here").register(folder)
        registry("here").promote("classifier", version)
    found = registry("elsewhere").resolve("classifier")
    assert (found.folder / "weights.safetensors").read_bytes() == as_weights(b"v2")
    registry("here").rollback("classifier")
    assert registry("elsewhere").resolve("classifier").version == "v1"
    # A local copy that somebody damaged is fetched again.
    (found.folder / "weights.safetensors").write_bytes(b"xx")
    assert registry("elsewhere").resolve("classifier", "v2").digest == found.digest
    assert (found.folder / "weights.safetensors").read_bytes() == as_weights(b"v2")


def test_thumbnails_and_search_in_a_bucket(
    two_versions: S3Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, batch = two_versions.settings.lake_root, two_versions.batch_id
    made = {path for path in objects() if path.endswith(".webp")}
    assert len(made) == 3
    assert f"lake/search/vectors/{DATE}/{batch}.parquet" in objects()
    for path in made:
        open_storage(f"s3://{BUCKET}").remove(path)
    assert main(["thumbnail", "--lake", lake, "--batch-date", DATE, "--batch", batch]) == 0
    assert {path for path in objects() if path.endswith(".webp")} == made
    monkeypatch.setenv("TOUNUM_INDEX_CACHE", str(tmp_path / "index"))
    capsys.readouterr()
    assert main(["search", "--lake", lake, "--json", "-", "--like", "0.png"]) == 0
    assert {json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()} == {"1.png", "2.png"}
    assert main(["search", "--lake", lake, "--json", "-", "a", "cat"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
