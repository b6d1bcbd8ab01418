"""One image: before and after, its caption with what else it might have been, why it is as it is, and where it lies."""

from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request
from fastapi.responses import Response

from tounum_airflow.web.asked import SWITCHES, TAGGED, Asked, asked
from tounum_airflow.web.boxes import content_of, photographs_of
from tounum_airflow.web.places import AskedPlace
from tounum_airflow.web.quarantine import advice
from tounum_airflow.web.render import lake_of, link, render
from tounum_airflow.web.tiles import item_of, key_of, picture_link, tiles
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.search import query
from tounum_tasks.search.reviewed import reviews_about, with_reviews

router = APIRouter()

LOOKED_AHEAD = 500
FILTER = "in."  # what the parameters of the page that one came from begin with
MEASURES = {
    "blur_laplacian_var": ("Sharpness", "variance of the Laplacian"),
    "noise_sigma": ("Noise", "grey levels"),
    "brightness": ("Brightness", "mean grey level, 0 to 255"),
    "contrast": ("Contrast", "grey levels"),
}
# What the delivery said of an image: its file, or what lay beside it.
DELIVERED = (
    "title", "description", "inventory_number", "captured_at", "digitised_at", "device", "copyright", "keywords",
    "metadata_left_out",
)  # fmt: skip
FACTS = (
    "format", "colour_mode", "bit_depth", "dpi", "dpi_x", "dpi_y", "exif_orientation", "skew_degrees", "turn_degrees",
    "phash", "duplicate_of", "duplicate_of_batch", "near_duplicate_of", "near_duplicate_of_page",
    "near_duplicate_of_batch", "near_duplicate_distance", "sidecars", "checksum", "checksum_source",
    "enhancement_method", "restorer_version", "classifier_version", "captioner_version", "extractor_version",
    "code_version", "image_id", "original_uri", "destination_uri",
)  # fmt: skip


@router.get("/image")
def image(
    request: Request,
    user: GetUserDep,
    place: AskedPlace,
) -> Response:
    """The page of one image."""
    lake = lake_of(request)
    came_from = from_query(request)
    with lake.index() as index:
        item = place.item(index)
        effective = Effective(reviews_about(index, [item]))
        stored = query.row_of(index, item["id"])
        row = with_reviews(stored, effective)
        following, previous = (
            _neighbour(request, index, came_from, item["id"], backwards=backwards) for backwards in (False, True)
        )
        unseen = _next_unseen(request, index, came_from, item["id"])
        copies = [copy for copy in query.of_image(index, item["image_id"]) if copy["id"] != item["id"]]
        (tile,) = tiles(request, index, [item], came_from.values)
    return render(
        request, "image.html", title=item["source_path"].rpartition("/")[2], user=user, row=row, stored=stored,
        item=item, tile=tile, key=place.key,
        following=following, previous=previous, unseen=unseen, copies=[(key_of(copy), copy) for copy in copies],
        back=link(request, "gallery", came_from.values),
        probabilities=_probabilities(row), measures=_measures(row), facts=_facts(row, FACTS),
        delivered=_facts(row, DELIVERED), content=content_of(row), photographs=photographs_of(row),
        advice=advice(row.get("error_code")),
        before=_view(request, item, "before"), after=_view(request, item, "after") if row.get("is_photo") else "",
        history=effective.reviews_of(item["image_id"], item_of(item)), words=row.get("caption_words") or [],
        attention=link(request, f"attention/{item['image_id']}", place.key) if _has_attention(row) else "",
        thumbnail=picture_link(request, item),
    )  # fmt: skip


def from_query(request: Request) -> Asked:
    """Return the filter of the page that one came from."""
    given = {
        name.removeprefix(FILTER): value for name, value in request.query_params.items() if name.startswith(FILTER)
    }
    names = {"from": "first", "to": "last", "class": "label"}
    known = {"from", "to", "date", "batch", "class", "q", "sort", *TAGGED, *SWITCHES}
    return asked(**{names.get(name, name): value for name, value in given.items() if name in known})


def _next_unseen(request: Request, index: Any, came_from: Asked, number: int) -> str:
    """The address of the next image that nobody has looked at, among the next few hundred."""
    rows = query.page(index, came_from.filter, LOOKED_AHEAD, after=number)
    found = next((row for row in rows if not row["is_seen"]), None)
    return link(request, "image", _with_filter(found, came_from)) if found is not None else ""


def _with_filter(item: Any, came_from: Asked) -> dict[str, Any]:
    return {**key_of(item), **{f"{FILTER}{name}": value for name, value in came_from.values.items()}}


def _neighbour(request: Request, index: Any, came_from: Asked, number: int, *, backwards: bool) -> str:
    found = query.page(index, came_from.filter, 1, after=number, backwards=backwards)
    if not found:
        return ""
    return link(request, "image", _with_filter(found[0], came_from))


def _view(request: Request, item: Any, which: str) -> str:
    return "" if item["status"] != "ok" else link(request, "view", key_of(item), which=which)


def _has_attention(row: dict[str, Any]) -> bool:
    return bool(row.get("caption_words") and row.get("fingerprint_caption") and row.get("caption_source") != "person")


def _probabilities(row: dict[str, Any]) -> list[tuple[str, float]]:
    found = [(label, row[f"prob_{label.lower()}"]) for label in CLASSES if f"prob_{label.lower()}" in row]
    return sorted(found, key=lambda pair: -pair[1])


def _measures(row: dict[str, Any]) -> list[tuple[str, str, float | None, float | None]]:
    return [
        (name, unit, row.get(f"{column}_before"), row.get(f"{column}_after"))
        for column, (name, unit) in MEASURES.items()
    ]


def _facts(row: dict[str, Any], names: tuple[str, ...]) -> list[tuple[str, Any]]:
    told = {name: ", ".join(row[name]) if isinstance(row.get(name), list) else row.get(name) for name in names}
    return [(name.replace("_", " "), value) for name, value in told.items() if value not in (None, "")]
