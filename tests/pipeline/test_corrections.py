"""What a person says, through a whole life of a batch, with real models: on a folder and in a bucket."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.second_models import register_second_captioner
from tests.s3_server import BUCKET
from tests.unit.reviews import a_review
from tounum_tasks.cli.main import main
from tounum_tasks.datasets.captions import load_captions
from tounum_tasks.reprocess.outdated import outdated_dates, wanted_models
from tounum_tasks.reviews.review import Mark
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import load_settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

CAT, LETTER = "photographs/cat.png", "texts/letter.jpg"


class Archive:
    """One batch of two images, below one root."""

    def __init__(self, root: str, folder: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        for name in ("ingest", "lake", "non_photos", "quarantine"):
            monkeypatch.setenv(f"TOUNUM_{name.upper()}_ROOT", f"{root}/{name}")
        monkeypatch.setenv("TOUNUM_MODEL_CACHE", str(folder / "models"))
        self.lake: Storage = open_storage(load_settings().lake_root)
        ingest = open_storage(load_settings().ingest_root)
        for name in (CAT, LETTER):
            ingest.write_bytes(f"Box/{name}", (sample / name).read_bytes())
        ingest.write_bytes("Box/_READY", b"")

    def run(self, *arguments: str) -> pd.DataFrame:
        """Run all steps; return the rows that are published then, by path."""
        assert main(["run", *arguments]) == 0
        return self.rows()

    def rows(self) -> pd.DataFrame:
        table = pd.read_parquet(f"{self.root}/lake/manifests")
        return table.set_index("source_path").sort_index()

    def say(self, path: str, mark: Mark, value: str) -> None:
        row = self.rows().loc[path]
        where = {name: str(row[name]) for name in ("image_id", "batch_id", "batch_date")}
        version = int(row.manifest_version)
        review = a_review(mark, value, source_path=path, old=row.label, manifest_version=version, **where)
        ReviewStore(self.lake).add(review)

    def lies_at(self, path: str) -> list[str]:
        """The buckets in which a file lies, beside its original."""
        row = self.rows().loc[path]
        below = f"{row.batch_date}/{row.batch_id}/{path}"
        places = ["lake/photos", *(f"non_photos/{name}" for name in ("painting", "schematics", "sketch", "text"))]
        return [place for place in places if open_storage(f"{self.root_url}/{place}").exists(below)]

    @property
    def root_url(self) -> str:
        return self.root if "://" in self.root else f"file://{self.root}"

    def manifests(self) -> dict[str, bytes]:
        day, batch = self.rows().batch_date.iloc[0], self.rows().batch_id.iloc[0]
        folder = f"manifests_history/{day}/{batch}"
        return {one.name: self.lake.read_bytes(f"{folder}/{one.name}") for one in self.lake.list_folder(folder)}


@pytest.fixture(params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return Archive(f"s3://{BUCKET}/all", tmp_path, sample, monkeypatch)
    return Archive(str(tmp_path / "all"), tmp_path, sample, monkeypatch)


def test_a_correction_lives_on(archive: Archive, tmp_path: Path) -> None:
    first = archive.run()
    assert first.label.to_dict() == {CAT: "Photo", LETTER: "Text"}
    archive.say(LETTER, "label", "Photo")
    archive.say(CAT, "caption", "our cat at home")

    # The next run takes them up: the file moves and gets a caption, and the models' word stays beside the person's.
    second = archive.run()
    assert set(second.manifest_version) == {2}
    assert second.label.to_dict() == {CAT: "Photo", LETTER: "Photo"}
    assert second.model_label.to_dict() == first.label.to_dict()
    assert second.label_source.to_dict() == {CAT: "model", LETTER: "person"}
    assert archive.lies_at(LETTER) == ["lake/photos"]
    assert second.caption[CAT] == "our cat at home" and second.model_caption[CAT] == first.caption[CAT]
    assert second.caption[LETTER] == second.model_caption[LETTER]
    assert second.caption_source.to_dict() == {CAT: "person", LETTER: "model"}
    assert not [one for one in archive.lake.list_folder("reviews") if one.kind == "file"]  # put together
    settings = load_settings()
    assert outdated_dates(settings, wanted_models(settings)) == []

    # Nothing new was said: no byte changes.
    before = archive.manifests()
    archive.run()
    assert archive.manifests() == before

    # Worked on again, from nothing and with another captioner where a second one can be made.
    if not archive.root.startswith("s3://"):
        lake = Path(archive.root) / "lake"
        assert main(["models", "promote", "captioner", register_second_captioner(lake)]) == 0
        assert outdated_dates(settings, wanted_models(settings)) == list(set(first.batch_date))
    third = archive.run("--items", "all")
    columns = ["label", "label_source", "model_label", "destination_uri"]
    pd.testing.assert_frame_equal(third[columns], second[columns])
    assert third.caption[CAT] == "our cat at home" and third.caption_source[CAT] == "person"

    # Back to the time before anybody had said anything.
    batch = first.batch_id.iloc[0]
    assert main(["restore", "--batch", batch, "--version", "1"]) == 0
    restored = archive.rows()
    assert restored.label.to_dict() == {CAT: "Photo", LETTER: "Photo"}
    assert restored.caption[CAT] == "our cat at home" and restored.model_caption[CAT] == first.caption[CAT]
    assert archive.lies_at(LETTER) == ["lake/photos"]

    # As data.
    assert main(["reviews", "export", str(tmp_path / "out")]) == 0
    (letter,) = (tmp_path / "out" / "classes").rglob("*/hard/*.jpg")
    assert letter.parent.parent.name == "Photo" and letter.stem == first.image_id[LETTER]
    (cat,) = load_captions(tmp_path / "out" / "captions").images
    assert cat.captions == ("our cat at home",) and cat.path.stem == first.image_id[CAT]
    assert json.loads((tmp_path / "out" / "corrections.json").read_text())["left_out"] == []

    # The next run gives what was restored its caption, and the one after it changes nothing.
    last = archive.run()
    assert last.caption[LETTER] == third.caption[LETTER]
    before = archive.manifests()
    archive.run()
    assert archive.manifests() == before
