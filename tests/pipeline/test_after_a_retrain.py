"""A model is promoted and the batch is run again, with real models: what depends on it is computed, all else reused."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.second_models import VERSION, register_second_captioner, register_second_classifier
from tounum_tasks.cli.main import main
from tounum_tasks.manifest.schema import ITEM_COLUMNS

PHOTOS = ["photographs/cat.png", "photographs/rocket.jpg"]
OTHERS = ["texts/letter.jpg"]
BROKEN = ["photographs/copy broke off.jpg"]
CAPTION_COLUMNS = {
    "caption", "model_caption", "caption_words", "caption_log_probability", "caption_alternatives", "captioner_version",
    "fingerprint_caption",
}  # fmt: skip


class Archive:
    """One batch and the command ``run``."""

    def __init__(self, folder: Path, sample: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.ingest, self.lake = folder / "ingest", folder / "lake"
        self._caplog = caplog
        for name in (*PHOTOS, *OTHERS, *BROKEN):
            (self.ingest / "Box" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(sample / name, self.ingest / "Box" / name)
        (self.ingest / "Box" / "_READY").touch()

    def run(self, *arguments: str) -> dict[str, tuple[int, int]]:
        """Run all stages; return by stage how many results were computed and how many reused, as the log says it."""
        self._caplog.clear()
        given = ["--ingest", str(self.ingest), "--lake", str(self.lake), "--max-failure-rate", "1", *arguments]
        assert main(["run", *given]) == 0
        (told,) = [text for text in self._caplog.messages if "computed" in text and "caption" in text]
        return {
            stage: (int(computed), int(reused))
            for stage, computed, reused in re.findall(r"(\w+) (\d+) computed, (\d+) reused", told)
        }

    def promote(self, name: str, version: str) -> None:
        assert main(["models", "promote", name, version, "--lake", str(self.lake)]) == 0

    def rows(self) -> pd.DataFrame:
        return pd.read_parquet(self.lake / "manifests").set_index("source_path").sort_index()

    def manifests(self) -> dict[str, bytes]:
        """Every manifest and every version of it."""
        return {str(path): path.read_bytes() for path in self.lake.glob("manifests*/**/*.parquet")}

    def copies(self, name: str) -> list[str]:
        """The buckets in which a file lies."""
        found = [path.relative_to(self.lake).parts for path in self.lake.rglob(name)]
        return sorted("/".join(parts[:2]) if parts[0] == "non_photos" else parts[0] for parts in found)


@pytest.fixture
def archive(sample: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Archive:
    caplog.set_level("INFO", "tounum_tasks")
    return Archive(tmp_path, sample, caplog)


def test_after_a_retrain(archive: Archive) -> None:
    everything = archive.run()
    assert everything == {
        "measure_and_enhance": (4, 0),
        "classify": (3, 0),
        "route": (4, 0),
        "extract_features": (2, 0),
        "caption": (2, 0),
    }
    first = archive.rows()
    assert first.label.dropna().to_dict() == {PHOTOS[0]: "Photo", PHOTOS[1]: "Photo", OTHERS[0]: "Text"}

    # A captioner: captions alone are computed, and nothing else changes.
    archive.promote("captioner", register_second_captioner(archive.lake))
    assert archive.run() == {
        "measure_and_enhance": (0, 4),
        "classify": (0, 3),
        "route": (0, 4),
        "extract_features": (0, 2),
        "caption": (2, 0),
    }
    second = archive.rows()
    assert set(second.manifest_version) == {2}
    for name in PHOTOS:
        assert list(second.caption_words[name]) == [word + "x" for word in first.caption_words[name]]
        assert second.captioner_version[name].startswith(VERSION)
        assert list(second.reused_stages[name]) == ["measure_and_enhance", "classify", "route", "extract_features"]
    same = [column for column in ITEM_COLUMNS if column in first.columns and column not in CAPTION_COLUMNS]
    pd.testing.assert_frame_equal(first[same], second[same])

    # Once more: no byte changes.
    before = archive.manifests()
    assert archive.run()["caption"] == (0, 2)
    assert archive.manifests() == before

    # A classifier: what changed its class moves, and only that goes through the stages behind.
    archive.promote("classifier", register_second_classifier(archive.lake))
    assert archive.run() == {
        "measure_and_enhance": (0, 4),
        "classify": (3, 0),
        "route": (3, 1),
        "extract_features": (1, 0),
        "caption": (1, 0),
    }
    third = archive.rows()
    assert third.label.dropna().to_dict() == {PHOTOS[0]: "Text", PHOTOS[1]: "Text", OTHERS[0]: "Photo"}
    assert archive.copies("cat.png") == ["non_photos/text", "originals"]
    assert archive.copies("letter.jpg") == ["originals", "photos"]
    for uri in third.destination_uri:
        assert Path(uri.removeprefix("file://")).is_file()
    assert list(third.caption.dropna().index) == OTHERS

    # Back again: everything is there still, so nothing is computed but the copies.
    assert main(["models", "rollback", "classifier", "--lake", str(archive.lake)]) == 0
    assert archive.run() == {
        "measure_and_enhance": (0, 4),
        "classify": (0, 3),
        "route": (3, 1),
        "extract_features": (0, 2),
        "caption": (0, 2),
    }
    fourth = archive.rows()
    pd.testing.assert_frame_equal(fourth[list(same)], second[list(same)])
    assert archive.copies("cat.png") == ["originals", "photos"]

    # The stage cache is gone: everything is computed again, and comes to the same.
    before = archive.manifests()
    shutil.rmtree(archive.lake / "stages")
    assert archive.run()["measure_and_enhance"] == (4, 0)
    assert archive.manifests() == before
