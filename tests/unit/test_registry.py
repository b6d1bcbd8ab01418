"""Model versions: complete or refused, promoted in one step, rolled back."""

import json

import pytest

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import CARD_FILE, read_version, validate_version, write_card
from tounum_tasks.models.registry import STARTERS, Registry, next_version, version_order


def make_version(folder, name="classifier", version="v1", content=b"weights", **described):
    folder = folder / name / version
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(content)
    write_card(folder, name=name, version=version, **described)
    return folder


@pytest.fixture
def starters(tmp_path):
    folder = tmp_path / "starters"
    make_version(folder, version="starter-1", content=b"starter")
    return folder


@pytest.fixture
def registry(tmp_path, starters):
    return Registry(str(tmp_path / "lake"), cache=tmp_path / "cache", starters=starters)


def test_without_a_promotion_the_newest_starter_is_in_production(registry, starters):
    make_version(starters, version="starter-10", content=b"newer")
    make_version(starters, version="starter-9", content=b"new")
    assert registry.resolve("classifier").version == "starter-10"
    assert registry.resolve("classifier", "starter-1").folder == starters / "classifier" / "starter-1"


def test_a_model_without_any_version_says_what_to_do(registry):
    with pytest.raises(ConfigurationError, match="train one and promote it"):
        registry.resolve("captioner")


def test_registering_does_not_promote_and_promoting_does(registry, tmp_path):
    found = registry.register(make_version(tmp_path / "out"))
    assert found.folder == tmp_path / "lake" / "models" / "classifier" / "v1"
    assert registry.resolve("classifier").version == "starter-1"
    assert registry.promote("classifier", "v1").digest == found.digest
    assert registry.resolve("classifier").version == "v1"
    assert json.loads((tmp_path / "lake/models/classifier/production.json").read_text())["version"] == "v1"


def test_rolling_back_goes_one_promotion_at_a_time_down_to_the_starter(registry, tmp_path):
    for version in ("v1", "v2"):
        registry.register(make_version(tmp_path / "out", version=version, content=version.encode()))
        registry.promote("classifier", version)
    registry.promote("classifier", "v2")  # twice is once
    assert registry.rollback("classifier").version == "v1"
    assert registry.rollback("classifier").version == "starter-1"
    with pytest.raises(ConfigurationError, match="no version of the classifier to go back to"):
        registry.rollback("classifier")


def test_registering_again_changes_nothing_and_other_content_is_refused(registry, tmp_path):
    folder = make_version(tmp_path / "out")
    first = registry.register(folder)
    assert registry.register(folder) == first
    other = make_version(tmp_path / "other", content=b"different")
    with pytest.raises(ConfigurationError, match="exists already"):
        registry.register(other)
    assert registry.resolve("classifier", "v1").digest == first.digest


def test_a_registration_that_was_killed_halfway_is_finished_by_the_next(registry, tmp_path):
    folder = make_version(tmp_path / "out")
    partly = tmp_path / "lake" / "models" / "classifier" / "v1"
    partly.mkdir(parents=True)
    (partly / "weights.safetensors").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match=r"no complete model"):
        registry.resolve("classifier", "v1")
    assert [row.problem is None for row in registry.versions("classifier")] == [True, False]
    registry.register(folder)
    assert registry.resolve("classifier", "v1").version == "v1"


@pytest.mark.parametrize("damage", ["truncated", "missing", "card", "digest"])
def test_a_damaged_version_is_refused_and_never_promoted(registry, tmp_path, damage):
    folder = registry.register(make_version(tmp_path / "out")).folder
    if damage == "truncated":
        (folder / "weights.safetensors").write_bytes(b"weigh")
    elif damage == "missing":
        (folder / "weights.safetensors").unlink()
    elif damage == "card":
        (folder / CARD_FILE).write_text('{"name":')
    else:
        card = json.loads((folder / CARD_FILE).read_text())
        (folder / CARD_FILE).write_text(json.dumps({**card, "digest": "0" * 64}))
    for call in (registry.resolve, registry.promote):
        with pytest.raises(ConfigurationError, match=r"damaged|incomplete"):
            call("classifier", "v1")
    assert registry.resolve("classifier").version == "starter-1"


def test_a_damaged_production_file_is_refused(registry, tmp_path):
    path = tmp_path / "lake/models/classifier/production.json"
    path.parent.mkdir(parents=True)
    for content in ("", "[]", '{"version": "../../etc"}', '{"version": null}'):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match="damaged"):
            registry.resolve("classifier")


@pytest.mark.parametrize("version", ["../v1", "", ".", "production/..", "V1", "a" * 65])
def test_versions_are_validated_before_they_become_paths(registry, version):
    with pytest.raises(ConfigurationError):
        registry.resolve("classifier", version)
    with pytest.raises(ValueError, match="no version"):
        validate_version(version)


def test_an_unknown_version_names_those_that_there_are(registry):
    with pytest.raises(ConfigurationError, match="there are: starter-1"):
        registry.resolve("classifier", "v7")


def test_a_card_cannot_name_files_outside_its_folder(tmp_path):
    folder = make_version(tmp_path)
    card = json.loads((folder / CARD_FILE).read_text())
    card["files"]["../../secret"] = card["files"]["weights.safetensors"]
    (folder / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ConfigurationError, match="damaged"):
        read_version(folder)


def test_a_captioner_is_promoted_only_with_its_extractor(registry, tmp_path):
    extractor = make_version(tmp_path / "out", name="extractor")
    digest = read_version(extractor).digest
    registry.register(make_version(tmp_path / "out", name="captioner", partners={"extractor": digest}))
    with pytest.raises(ConfigurationError, match="not in the registry"):
        registry.promote("captioner", "v1")
    registry.register(extractor)
    captioner = registry.promote("captioner", "v1")
    assert registry.partner(captioner, "extractor").version == "v1"


def test_versions_sort_as_people_count():
    assert sorted(["2026.11.20-10", "2026.11.20-9", "2026.2.1-1"], key=version_order) == [
        "2026.2.1-1",
        "2026.11.20-9",
        "2026.11.20-10",
    ]
    assert next_version("2026-11-20", ["2026.11.20-1", "2026.11.19-2"]) == "2026.11.20-2"


@pytest.mark.parametrize("card", sorted(STARTERS.glob("*/*/" + CARD_FILE)), ids=lambda path: path.parts[-3])
def test_packaged_starters_are_complete_and_small(card):
    found = read_version(card.parent)
    assert (found.name, found.version) == card.parts[-3:-1]
    assert all(entry.bytes < 60_000_000 for entry in found.files.values())
    assert found.data_licence
