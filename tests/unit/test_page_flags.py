"""What rows say of pages as people see them: borders, crooked, turned and empty ones, several photographs, film."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.published import DATE, caption_all, plan_for, small_settings
from tests.unit.reviews import a_review
from tounum_tasks.items import read_items
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.page_flags.look import PageLook, look_at
from tounum_tasks.publish import stage as publish
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.sample import photos, texts
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

Pixels = NDArray[np.uint8]


def flags_of(look: PageLook) -> list[str]:
    return [flag.flag for flag in look.flags]


def paper(colour: tuple[int, int, int], seed: int = 0) -> Pixels:
    """An empty page with the noise of a scanner."""
    noise = np.random.default_rng(seed).normal(0, 2, (700, 500, 1))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def with_show_through(page: Pixels) -> Pixels:
    """A page on whose back a letter is written."""
    back = cv2.resize(texts.letter()[:, ::-1], (page.shape[1], page.shape[0]), interpolation=cv2.INTER_AREA)
    faint = cv2.GaussianBlur(back, (0, 0), 2).astype(np.float32) - 250
    return np.clip(page + 0.06 * faint[..., None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("degrees", [-4.0, -0.8, 1.5, 7.0])
def test_a_crooked_page_has_its_degrees_in_its_row_and_a_reason(degrees: float) -> None:
    # OpenCV turns counter-clockwise.
    look = look_at(texts.scanned(texts.letter(), 1, skew_degrees=-degrees))
    assert look.skew_degrees == pytest.approx(degrees, abs=0.1)
    (flag,) = look.flags
    assert flag.flag == "skewed" and flag.score == look.skew_degrees and flag.threshold == 0.5
    assert flag.reason == (
        f"its lines are turned {abs(flag.score):.2f} degrees {'clockwise' if degrees > 0 else 'counter-clockwise'}"
    )


def test_a_crooked_page_that_is_light_on_dark_is_told_as_well() -> None:
    look = look_at(255 - texts.scanned(texts.letter(), 1, skew_degrees=-1.5))
    assert look.skew_degrees == pytest.approx(1.5, abs=0.1) and flags_of(look) == ["skewed"]


@pytest.mark.parametrize("page", [texts.letter(), texts.article(), texts.inventory()])
def test_a_straight_page_is_measured_and_not_flagged(page: Pixels) -> None:
    look = look_at(texts.scanned(page, 2, skew_degrees=0))
    assert look.flags == () and look.skew_degrees == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("page", [texts.letter(), texts.article()], ids=["letter", "article"])
@pytest.mark.parametrize("height", [1_100, 1_754, 2_600])
def test_a_page_of_print_that_lies_on_its_side_or_its_head_is_told_with_its_turn(page: Pixels, height: int) -> None:
    scan = texts.scanned(page, 1, skew_degrees=0.8)
    scan = cv2.resize(scan, (round(height * scan.shape[1] / scan.shape[0]), height), interpolation=cv2.INTER_AREA)
    assert "sideways" not in flags_of(look_at(scan)) and look_at(scan).turn_degrees is None
    for turns, run in ((1, "run up or down"), (2, "are upside down"), (3, "run up or down")):
        look = look_at(np.ascontiguousarray(np.rot90(scan, turns)))  # counter-clockwise
        (flag,) = [flag for flag in look.flags if flag.flag == "sideways"]
        assert look.turn_degrees == 90 * turns and flag.score >= flag.threshold
        assert flag.reason == f"its lines {run}: turned by {90 * turns} degrees clockwise it stands upright"


def in_capitals(faint: bool = False) -> Pixels:
    """A page of capitals, which have nothing that rises above or hangs below them; faint ones lack their lower half."""
    page = np.full((1_400, 1_000), 250, np.uint8)
    for line in range(30):
        place = (80, 120 + 40 * line)
        cv2.putText(page, "THE BOXES CAME UP FROM THE CELLAR", place, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 30, 2, cv2.LINE_AA)
        if faint:
            lower = page[110 + 40 * line : 124 + 40 * line]
            lower[:] = 250 - 0.3 * (250 - lower)
    return texts.scanned(page, 1, skew_degrees=0)


@pytest.mark.parametrize(
    "page",
    [texts.scanned(texts.inventory(), 1, skew_degrees=0), in_capitals(), in_capitals(faint=True)],
    ids=["inventory", "capitals", "faint capitals"],
)
@pytest.mark.parametrize("turns", range(4))
def test_nothing_is_said_of_which_end_is_up_where_letters_do_not_tell(page: Pixels, turns: int) -> None:
    assert "sideways" not in flags_of(look_at(np.ascontiguousarray(np.rot90(page, turns))))


@pytest.mark.parametrize("name", sorted(photos.photographs()))
def test_nothing_is_said_of_the_lines_of_a_photograph(name: str) -> None:
    assert look_at(photos.photographs()[name]).skew_degrees is None


@pytest.mark.parametrize(
    "page",
    [
        paper((255, 255, 255)),
        paper((214, 196, 150)),
        paper((12, 12, 14)),
        with_show_through(paper((235, 230, 215))),
    ],
    ids=["white", "aged", "black", "show-through"],
)
def test_an_empty_page_is_blank_and_nothing_else(page: Pixels) -> None:
    look = look_at(page)
    assert flags_of(look) == ["blank"] and look.skew_degrees is None


def test_an_empty_page_in_the_black_border_of_its_scanner_is_blank_and_has_a_box() -> None:
    scan = np.full((800, 620, 3), 14, np.uint8)
    scan[40:740, 60:560] = paper((240, 236, 224))
    look = look_at(scan)
    assert flags_of(look) == ["border", "blank"]
    assert look.content_box == (60, 40, 560, 740)


@pytest.mark.parametrize("size", [(300, 12_000), (640, 9_000), (12_000, 300), (20_000, 400)])
def test_a_long_strip_that_is_written_on_is_not_blank(size: tuple[int, int]) -> None:
    """Receipts, scrolls, panoramas: their writing is as small as that of a page."""
    width, height = size
    page = np.full((height, width, 3), 245, np.uint8)
    for line in range(28, height, 28):
        cv2.putText(page, "2 brown loaves 1.40 " * (width // 200 + 1), (8, line), 0, 0.6, (90, 90, 90), 1, cv2.LINE_AA)
    assert "blank" not in flags_of(look_at(page))
    assert flags_of(look_at(np.full((height, width, 3), 245, np.uint8))) == ["blank"]


def test_one_line_is_enough_not_to_be_blank() -> None:
    page = paper((250, 250, 245))
    cv2.putText(page, "see overleaf", (150, 300), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (60, 60, 60), 1, cv2.LINE_AA)
    assert flags_of(look_at(page)) == []


def test_nothing_is_said_of_tiny_images() -> None:
    assert look_at(np.full((40, 300, 3), 255, np.uint8)) == PageLook()


def sheet_with(*places: tuple[int, int]) -> Pixels:
    """A white sheet, 800 x 800, with the same photograph, 300 x 300, at each place (left, top)."""
    sheet = np.full((800, 800, 3), 250, np.uint8)
    photograph = cv2.resize(photos.photographs()["astronaut"], (300, 300), interpolation=cv2.INTER_AREA)
    for left, top in places:
        sheet[top : top + 300, left : left + 300] = photograph
    return sheet


def test_photographs_on_a_sheet_have_their_boxes() -> None:
    look = look_at(np.repeat(np.repeat(sheet_with((50, 60), (440, 420)), 3, axis=0), 3, axis=1))
    (flag,) = look.flags
    assert (flag.flag, flag.score, flag.reason) == ("several", 2, "2 photographs lie apart on it")
    first, second = (np.array(box).reshape(4, 2) for box in look.photo_boxes)
    assert np.ptp(first, axis=0) == pytest.approx([900, 900], abs=25)
    assert first.min(axis=0) == pytest.approx([150, 180], abs=15)
    assert second.min(axis=0) == pytest.approx([1320, 1260], abs=15)


def test_photographs_that_overlap_are_told() -> None:
    look = look_at(sheet_with((60, 60), (300, 250)))
    assert flags_of(look) == ["several"] and look.flags[0].reason == "photographs touch or overlap"


def test_a_photograph_whose_sky_is_as_light_as_its_sheet_has_its_whole_box() -> None:
    pixels = np.full((800, 800, 3), 246.0)
    for left, top in ((50, 60), (440, 420)):
        place = np.s_[top : top + 300, left : left + 300]
        pixels[place] = cv2.resize(photos.photographs()["astronaut"], (300, 300), interpolation=cv2.INTER_AREA)
        pixels[place][:120] = 240
    noise = np.random.default_rng(0).normal(0, 1.5, (800, 800, 1))
    boxes = look_at(np.clip(pixels + noise, 0, 255).astype(np.uint8)).photo_boxes
    first, second = (np.array(box).reshape(4, 2) for box in boxes)
    assert first.min(axis=0) == pytest.approx([50, 60], abs=5)
    assert second.min(axis=0) == pytest.approx([440, 420], abs=5)
    assert np.ptp(first, axis=0) == pytest.approx([300, 300], abs=8)


def test_photographs_of_which_one_lies_askew_on_the_other_are_told_and_have_no_boxes() -> None:
    sheet = sheet_with((120, 150))
    turn = cv2.getRotationMatrix2D((150, 150), 8, 1)
    turn[:, 2] += (250, 240)
    photograph = cv2.resize(photos.photographs()["coffee"], (300, 300), interpolation=cv2.INTER_AREA)
    laid = cv2.warpAffine(photograph, turn, (800, 800))
    mask = cv2.warpAffine(np.full((300, 300), 255, np.uint8), turn, (800, 800))
    sheet[mask > 127] = laid[mask > 127]
    look = look_at(sheet)
    assert flags_of(look) == ["several"] and look.flags[0].reason == "photographs touch or overlap"


def scanned_sheet(grey: int, *laid: tuple[Pixels, tuple[float, float], tuple[float, float], float]) -> Pixels:
    """A sheet, 800 x 800, with the grain of a scan; each photograph with its middle, its width and height, its turn."""
    sheet = np.full((800, 800, 3), grey, np.uint8)
    for photograph, middle, size, degrees in laid:
        box = cv2.boxPoints((middle, size, degrees))
        height, width = photograph.shape[:2]
        turn = cv2.getAffineTransform(np.array([[0, height], [0, 0], [width, 0]], np.float32), box[:3])
        on_sheet = cv2.warpAffine(photograph, turn, (800, 800), flags=cv2.INTER_AREA)
        mask = cv2.fillConvexPoly(np.zeros((800, 800), np.uint8), box.round().astype(np.int32), 1)
        sheet[mask > 0] = on_sheet[mask > 0]
    noise = np.random.default_rng(0).normal(0, 1.5, (800, 800, 1))
    return np.clip(sheet + noise, 0, 255).astype(np.uint8)


def with_dark_lines(photograph: Pixels) -> Pixels:
    """A photograph, 300 x 300, with narrow bars as dark as black ground."""
    small = cv2.resize(photograph, (300, 300), interpolation=cv2.INTER_AREA)
    small = np.maximum(small, 70)
    for line in range(20, 290, 24):
        small[line : line + 4, 10:290] = 25
    return small


def test_photographs_with_dark_details_on_black_ground_have_their_boxes() -> None:
    fence = with_dark_lines(photos.photographs()["coffee"])
    look = look_at(scanned_sheet(21, (fence, (200, 220), (300, 300), 4), (fence, (580, 560), (300, 300), -6)))
    assert [flag.reason for flag in look.flags if flag.flag == "several"] == ["2 photographs lie apart on it"]
    middles = [np.array(box).reshape(4, 2).mean(axis=0) for box in look.photo_boxes]
    assert middles[0] == pytest.approx([200, 220], abs=3) and middles[1] == pytest.approx([580, 560], abs=3)


@pytest.mark.parametrize("ground", [246, 21])
@pytest.mark.parametrize(
    ("place", "size", "degrees"),
    [
        ((523, 300), (250, 250), 0),  # a smaller one beside it
        ((548, 300), (300, 270), 5),  # as large, a little askew
        ((535, 320), (300, 270), 3),  # overlaps a little
    ],
)
def test_photographs_that_touch_with_small_steps_are_told(
    ground: int, place: tuple[float, float], size: tuple[float, float], degrees: float
) -> None:
    first, second = photos.photographs()["astronaut"], photos.photographs()["coffee"]
    look = look_at(scanned_sheet(ground, (first, (250, 300), (300, 280), 0), (second, place, size, degrees)))
    (flag,) = (flag for flag in look.flags if flag.flag == "several")
    assert (flag.score, flag.reason) == (2, "photographs touch or overlap")


def test_photographs_that_overlap_are_told_where_one_of_them_is_mostly_sky() -> None:
    sky = photos.photographs()["astronaut"].copy()
    sky[: 3 * len(sky) // 4] = 200
    coffee = photos.photographs()["coffee"]
    look = look_at(scanned_sheet(246, (sky, (250, 300), (300, 280), 0), (coffee, (480, 400), (260, 240), 8)))
    assert [flag.reason for flag in look.flags if flag.flag == "several"] == ["photographs touch or overlap"]


def test_a_torn_photograph_is_not_several() -> None:
    torn = scanned_sheet(246, (photos.photographs()["astronaut"], (400, 400), (400, 300), 0))
    torn[250:262, 380:400] = torn[538:550, 390:410] = 246
    assert "several" not in flags_of(look_at(torn))


def test_filled_boxes_of_a_drawing_are_no_photographs() -> None:
    drawing = np.full((600, 800, 3), 252, np.uint8)
    for left, top in ((60, 60), (440, 60), (60, 340), (440, 340)):
        cv2.rectangle(drawing, (left, top), (left + 280, top + 180), (190, 215, 240), -1)
        cv2.putText(drawing, "Storage", (left + 60, top + 100), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (30, 30, 30), 2)
    noisy = cv2.imdecode(cv2.imencode(".jpg", drawing, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    assert "several" not in flags_of(look_at(noisy.astype(np.uint8)))


def test_one_photograph_on_a_sheet_is_not_several() -> None:
    look = look_at(sheet_with((200, 250)))
    assert flags_of(look) == [] and look.photo_boxes == ()


@pytest.mark.parametrize(("colour", "turn"), [((15, 15, 18), 0.0), ((15, 15, 18), 1.0), ((150, 30, 30), 0.0)])
def test_a_border_is_told_with_the_box_of_the_content(colour: tuple[int, int, int], turn: float) -> None:
    letter = texts.scanned(texts.letter(), 1, skew_degrees=0)
    height, width = letter.shape[:2]
    scan = np.full((height + 90, width + 140, 3), colour, np.uint8)
    scan[:height, 100 : 100 + width] = letter  # the sheet lay at the upper edge of the glass
    about = cv2.getRotationMatrix2D((scan.shape[1] / 2, scan.shape[0] / 2), turn, 1)
    scan = cv2.warpAffine(scan, about, scan.shape[1::-1], borderMode=cv2.BORDER_CONSTANT, borderValue=colour)
    look = look_at(scan)
    flag = look.flags[0]
    assert flag.flag == "border" and flag.threshold < flag.score < 0.3
    assert look.content_box is not None
    left, _, right, bottom = look.content_box
    slack = 2 + round(np.tan(np.radians(turn)) * height)
    assert 100 - slack <= left <= 102 and width + 98 <= right <= 100 + width + slack
    assert height - 2 <= bottom <= height + slack
    if not turn:
        assert flag.reason == "a border is at its left and right and bottom"


@pytest.mark.parametrize("ground", [(14, 14, 16), (40, 110, 60), (120, 80, 50)])
def test_dust_on_the_glass_hides_no_border(ground: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(3)
    scan = np.full((1_280, 900, 3), ground, np.uint8)
    for x, y in rng.integers(0, (900, 1_280), (900, 2)):
        cv2.circle(scan, (int(x), int(y)), int(rng.integers(1, 4)), (170, 168, 160), -1)
    scan[60:1_200, 50:860] = texts.scanned(texts.letter(), 1, skew_degrees=0)[:1_140, :810]
    look = look_at(scan)
    assert flags_of(look) == ["border"] and look.content_box is not None
    assert np.abs(np.array(look.content_box) - (50, 60, 860, 1_200)).max() <= 4


def test_a_side_without_border_keeps_its_last_pixels() -> None:
    letter = cv2.resize(texts.scanned(texts.letter(), 1, skew_degrees=0), (2000, 2999))  # looked at in blocks of three
    scan = np.concatenate([np.full((2999, 120, 3), 15, np.uint8), letter], axis=1)
    look = look_at(scan)
    assert look.content_box == (120, 0, 2120, 2999)


@pytest.mark.parametrize("name", sorted(photos.photographs()))
def test_photographs_have_no_border_and_are_no_negatives_and_not_several(name: str) -> None:
    photograph = photos.photographs()[name]
    for picture in (photograph, 255 - photograph):
        look = look_at(picture)
        assert look.content_box is None and not {"border", "negative", "several"} & set(flags_of(look))


def film(base: tuple[int, int, int], *, holes: bool) -> Pixels:
    """A frame of 35 mm film on its base, holes along both sides."""
    sheet = np.full((583, 700, 3), base, np.uint8)
    frame = cv2.resize(photos.photographs()["astronaut"], (600, 400), interpolation=cv2.INTER_AREA)
    sheet[92:492, 50:650] = frame if max(base) < 60 else 255 - frame
    for x in range(20, 690, 79):
        for y in (25, 512):
            if holes:
                sheet[y : y + 46, x : x + 33] = 253
    return sheet


@pytest.mark.parametrize(
    ("base", "holes", "reason"),
    [
        ((190, 190, 190), True, "the holes of film lie on its clear base"),
        ((232, 148, 88), True, "its film has an orange mask"),
        ((232, 148, 88), False, "its film has an orange mask"),
    ],
)
def test_negatives_are_told_by_their_film(base: tuple[int, int, int], holes: bool, reason: str) -> None:
    scan = film(base, holes=holes)
    for picture in (scan, np.ascontiguousarray(scan.transpose(1, 0, 2))):
        (flag,) = [flag for flag in look_at(picture).flags if flag.flag == "negative"]
        assert flag.reason == reason


def test_a_slide_is_no_negative() -> None:
    assert "negative" not in flags_of(look_at(film((20, 20, 20), holes=True)))


@pytest.mark.parametrize("ground", [(120, 80, 50), (160, 110, 60), (150, 20, 30), (180, 90, 60), (200, 150, 100)])
def test_a_photograph_on_wood_or_a_brown_mount_is_no_negative(ground: tuple[int, int, int]) -> None:
    for picture in (photos.photographs()["coffee"], photos.photographs()["astronaut"], texts.letter()):
        colours = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        mounted = cv2.copyMakeBorder(colours, 50, 50, 50, 50, cv2.BORDER_CONSTANT, value=ground)
        assert "negative" not in flags_of(look_at(mounted))


@pytest.mark.parametrize("hole", [40, 70, 255])
def test_holes_of_a_punch_are_no_writing(hole: int) -> None:
    page = paper((225, 215, 190))
    for y in (270, 430):
        cv2.circle(page, (34, y), 7, (hole, hole, hole), -1, cv2.LINE_AA)
    assert flags_of(look_at(page)) == ["blank"]
    cv2.putText(page, "Received, 4 May 1923", (150, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (50, 50, 60), 1, cv2.LINE_AA)
    assert "blank" not in flags_of(look_at(page))


@pytest.mark.parametrize("light", [0.3, 0.2])
def test_a_photograph_taken_at_night_is_no_empty_page(light: float) -> None:
    for name in ("astronaut", "coffee", "cat"):
        photograph = photos.photographs()[name]
        assert "blank" not in flags_of(look_at((light * photograph).astype(np.uint8))), name


@pytest.mark.parametrize(("grey", "noise"), [(10, 2), (25, 8), (45, 6), (70, 4)])
def test_a_black_page_with_the_noise_of_a_scanner_is_empty(grey: int, noise: float) -> None:
    page = grey + np.random.default_rng(1).normal(0, noise, (1_100, 800, 1))
    assert flags_of(look_at(np.clip(np.repeat(page, 3, axis=2), 0, 255).astype(np.uint8))) == ["blank"]


# What becomes of an empty page


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Where a batch with a photograph and its empty back waits."""
    found = small_settings(tmp_path)
    box = tmp_path / "ingest/Box"
    box.mkdir(parents=True)
    cv2.imwrite(str(box / "back.png"), paper((240, 235, 220)))
    cv2.imwrite(str(box / "front.png"), photos.photographs()["coffee"][..., ::-1])
    (box / "_READY").touch()
    return found


def rows_after_a_night(settings: Settings, run_id: str) -> dict[str, dict]:
    """Rows by source_path, after a night whose classifier takes everything for a photograph."""
    plan = plan_for(settings, run_id, items="all")
    caption_all(plan, settings, "a cup of coffee")
    publish.run(plan, settings)
    columns = ["source_path", "label", "label_source", "is_photo", "caption", "destination_uri", "page_flags"]
    table = read_columns(open_storage(settings.lake_root), DATE, plan.batches[0].batch_id, columns)
    assert table is not None
    return {row["source_path"]: row for row in table.to_pylist()}


def copies(settings: Settings, name: str) -> list[str]:
    """The buckets in which copies of a file lie."""
    root = Path(settings.lake_root.removeprefix("file://")).parent
    places = [str(path.relative_to(root)).partition(f"/{DATE}/")[0] for path in root.rglob(name)]
    return sorted(place for place in places if place != "lake/originals")


def test_an_empty_page_lies_in_a_bucket_of_its_own_has_no_caption_and_keeps_its_class(settings: Settings) -> None:
    rows = rows_after_a_night(settings, "first")
    back, front = rows["back.png"], rows["front.png"]
    assert (back["label"], back["is_photo"], back["caption"]) == ("Photo", False, None)
    assert [flag["flag"] for flag in back["page_flags"]] == ["blank"]
    assert copies(settings, "back.png") == ["non_photos/blank"] and "/blank/" in back["destination_uri"]
    assert (front["is_photo"], front["caption"], front["page_flags"]) == (True, "a cup of coffee", [])
    assert copies(settings, "front.png") == ["lake/photos"]


@pytest.mark.parametrize(("label", "bucket"), [("Photo", "lake/photos"), ("Text", "non_photos/text")])
def test_a_person_who_gives_an_empty_page_a_class_is_right(settings: Settings, label: str, bucket: str) -> None:
    rows_after_a_night(settings, "first")
    lake = open_storage(settings.lake_root)
    (batch,) = [entry.name for entry in lake.list_folder(f"registers/{DATE}")]
    (item,) = [item for item in read_items(lake, DATE, batch) if item.source_path == "back.png"]
    said = a_review("label", label, image_id=item.image_id, batch_id=batch, source_path="back.png")
    ReviewStore(lake).add(said)
    back = rows_after_a_night(settings, "second")["back.png"]
    assert (back["label"], back["label_source"], back["is_photo"]) == (label, "person", label == "Photo")
    assert copies(settings, "back.png") == [bucket]
