"""Model versions: complete or refused, promoted in one step, rolled back."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import save

from tests.s3_server import BUCKET, S3Server
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import CARD_FILE, digest_of, read_version, validate_version, write_card
from tounum_tasks.models.registry import STARTERS, Registry, next_version, version_order
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.store.open import open_storage


def as_weights(content):
    """A file of weights that holds these bytes as numbers."""
    return save({"w": np.frombuffer(content, np.uint8)})


def make_version(folder, name="classifier", version="v1", content=b"weights", **described):
    folder = folder / name / version
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(as_weights(content))
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


def test_what_a_promotion_relies_on_outlives_the_starters_of_the_package(tmp_path, starters):
    lake = str(tmp_path / "lake")
    old = Registry(lake, cache=tmp_path / "cache", starters=starters)
    extractor = make_version(starters, name="extractor", version="starter-1", content=b"extractor")
    partners = {"extractor": read_version(extractor).digest}
    make_version(starters, name="captioner", version="starter-1", content=b"captioner", partners=partners)
    old.register(make_version(tmp_path / "out", name="captioner", content=b"mine", partners=partners))
    old.promote("captioner", "v1")
    old.promote("classifier", "starter-1")

    later = tmp_path / "later"
    for name in ("extractor", "captioner", "classifier"):
        make_version(later, name=name, version="starter-2", content=b"another " + name.encode())
    new = Registry(lake, cache=tmp_path / "cache", starters=later)
    assert new.partner(new.resolve("captioner"), "extractor").version == "starter-1"
    assert new.resolve("classifier").version == "starter-1"
    assert new.rollback("captioner").version == "starter-1"
    assert new.partner(new.resolve("captioner"), "extractor").digest == partners["extractor"]


def test_a_partner_that_is_gone_is_named_and_can_be_registered(registry, tmp_path):
    extractor = make_version(tmp_path / "out", name="extractor", version="starter-1")
    partners = {"extractor": read_version(extractor).digest}
    registry.register(make_version(tmp_path / "out", name="captioner", partners=partners))
    with pytest.raises(ConfigurationError, match=r"not in the registry: register it.*tounum_tasks/models/starter"):
        registry.promote("captioner", "v1")
    registry.register(extractor)
    assert registry.promote("captioner", "v1").version == "v1"


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
    (partly / "weights.safetensors").write_bytes(as_weights(b"weights"))
    with pytest.raises(ConfigurationError, match=r"no complete model"):
        registry.resolve("classifier", "v1")
    assert [row.problem is None for row in registry.versions("classifier")] == [True, False]
    registry.register(folder)
    assert registry.resolve("classifier", "v1").version == "v1"


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "pipe", "card", "digest"])
def test_a_damaged_version_is_refused_and_never_promoted(registry, tmp_path, damage):
    folder = registry.register(make_version(tmp_path / "out")).folder
    if damage == "truncated":
        (folder / "weights.safetensors").write_bytes(b"weigh")
    elif damage == "changed":
        (folder / "weights.safetensors").write_bytes(b"wEights")
    elif damage == "pipe":
        (folder / "weights.safetensors").unlink()
        os.mkfifo(folder / "weights.safetensors")
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
    contents = (
        "",
        "[]",
        "[" * 100_000,
        '{"version": "../../etc"}',
        '{"version": null}',
        '{"version": "v1", "previous": "v0"}',
        '{"version": "starter-1", "qrevious": ["v0"]}',  # one bit: the way back would be lost
    )
    for content in contents:
        path.write_text(content)
        for call in (registry.resolve, registry.rollback):
            with pytest.raises(ConfigurationError, match=r"production\.json is damaged; promote a version again"):
                call("classifier")
        assert [row.version for row in registry.versions("classifier")] == ["starter-1"]
    registry.register(make_version(tmp_path / "out"))
    registry.promote("classifier", "v1")
    assert registry.rollback("classifier").version == "starter-1"


@pytest.mark.parametrize("version", ["../v1", "", ".", "production/..", "production.json", "V1", "v1\n", "a" * 65])
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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"surprise": 1}, "damaged: surprise: Extra inputs"),
        ({"surprise\x1b[31m": 1}, r"damaged: surprise\\u001b\[31m: Extra"),
        ({"version": None}, "damaged: version"),
        ({"version": "../v1"}, "is no version"),
        ({"name": "../../etc"}, "is no name of a model"),
        ({"partners": {"extractor": 5}}, "damaged: partners.extractor"),
        ({"files": {}, "digest": digest_of({})}, r"incomplete: its card names no weights\.safetensors"),
        ({"files": []}, "damaged: files"),
    ],
)
def test_a_hostile_card_is_refused_in_one_sentence(registry, tmp_path, changes, sentence):
    folder = make_version(tmp_path / "out")
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | changes))
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        registry.register(folder)
    assert not {"\n", "\x1b"} & set(str(caught.value))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b'{"metrics": ' * 50_000])
def test_a_card_that_is_no_card_is_refused(tmp_path, content):
    folder = make_version(tmp_path)
    (folder / CARD_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"model\.json is damaged"):
        read_version(folder)


def test_a_model_of_another_kind_is_refused(registry, tmp_path):
    with pytest.raises(ConfigurationError, match="of the kind weather; known are extractor, captioner, classifier"):
        registry.register(make_version(tmp_path / "out", name="weather"))


def test_promoting_what_is_in_production_changes_nothing(registry, tmp_path):
    registry.register(make_version(tmp_path / "out"))
    registry.promote("classifier", "v1")
    assert registry.promote("classifier", "production").version == "v1"
    assert registry.rollback("classifier").version == "starter-1"


def test_promotions_at_the_same_moment_are_all_remembered(registry, tmp_path):
    names = [f"v{number}" for number in range(8)]
    for name in names:
        registry.register(make_version(tmp_path / "out", version=name, content=name.encode()))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: registry.promote("classifier", name), names))
    content = json.loads((tmp_path / "lake/models/classifier/production.json").read_text())
    assert sorted([*content["previous"], content["version"]]) == ["starter-1", *names]


def test_of_registrations_at_the_same_moment_one_wins_whole(registry, tmp_path):
    folders = [make_version(tmp_path / str(number), content=b"x" * (number + 1)) for number in range(8)]

    def register(folder):
        try:
            return registry.register(folder).digest
        except ConfigurationError as error:
            assert "exists already" in str(error)
            return None

    with ThreadPoolExecutor(8) as pool:
        digests = [digest for digest in pool.map(register, folders) if digest]
    assert digests == [registry.resolve("classifier", "v1").digest]


def test_rolling_back_to_a_damaged_version_leaves_everything_as_it_was(registry, tmp_path):
    for version in ("v1", "v2"):
        found = registry.register(make_version(tmp_path / "out", version=version, content=version.encode()))
        registry.promote("classifier", version)
    (found.folder.parent / "v1" / "weights.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="incomplete"):
        registry.rollback("classifier")
    assert registry.resolve("classifier").version == "v2"


def test_weights_that_are_no_weights_are_refused(tmp_path):
    unknown = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    contents = (b"", b"weights", (2**63).to_bytes(8, "little"), len(unknown).to_bytes(8, "little") + unknown + b"ab")
    for content in contents:
        (tmp_path / "weights.safetensors").write_bytes(content)
        with pytest.raises(ConfigurationError, match="Cannot read the weights"):
            read_safetensors(tmp_path / "weights.safetensors")


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


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3, 4)])
@pytest.mark.parametrize("file", ["weights.safetensors", "judge.safetensors"])
def test_weights_that_are_no_numbers_are_refused_everywhere(registry, tmp_path, number, kind, shape, file):
    folder = make_version(tmp_path / "out", version="bad")
    array = np.ones(shape, kind)
    array[(-1,) * len(shape)] = number
    write_safetensors(folder / file, {"good": np.ones(3, np.float32), "temperature": array})
    (folder / CARD_FILE).unlink()
    write_card(folder, name="classifier", version="bad")
    sentence = rf"{file} hold NaN or infinity in temperature: train the model again"
    with pytest.raises(ConfigurationError, match=sentence):
        read_safetensors(folder / file)
    with pytest.raises(ConfigurationError, match=sentence):
        registry.register(folder)
    copy = tmp_path / "lake" / "models" / "classifier" / "bad"  # registered by an earlier release
    copy.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(copy)
    with pytest.raises(ConfigurationError, match=sentence):
        registry.promote("classifier", "bad")
    assert registry.production("classifier") == "starter-1"


def test_promotions_in_a_bucket_at_the_same_moment_are_all_remembered(s3: S3Server, tmp_path, starters):
    lake = f"s3://{BUCKET}/lake"
    first, second = (Registry(lake, cache=tmp_path / f"cache{n}", starters=starters) for n in (1, 2))
    for version in ("v1", "v2"):
        first.register(make_version(tmp_path / "out", version=version, content=version.encode()))
    waiting = []

    def promote_the_other_before_the_list_is_written(request, done):
        if request.method == "PUT" and request.path.endswith("production.json") and not done and not waiting:
            waiting.append(True)
            with ThreadPoolExecutor(1) as other:
                other.submit(second.promote, "classifier", "v2").result()

    with s3.disturbed(promote_the_other_before_the_list_is_written):
        first.promote("classifier", "v1")
    content = json.loads(open_storage(lake).read_bytes("models/classifier/production.json"))
    assert content == {"version": "v1", "previous": ["starter-1", "v2"]}
    assert first.rollback("classifier").version == "v2"
