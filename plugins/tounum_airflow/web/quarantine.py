"""Quarantine: what could not be read, by reason, what to do about it, and what was done."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from tounum_airflow.web.asked import AskedFor
from tounum_airflow.web.render import lake_of, render
from tounum_airflow.web.tiles import tiles
from tounum_tasks.search import query
from tounum_tasks.search.query import Filter

router = APIRouter()

AT_ONCE = 100
WHAT_TO_DO = {
    "not_an_image": "No picture: take it out, or have TOUNUM_IGNORE leave such files out.",
    "empty_file": "The file has no content: copy it again from its source.",
    "truncated": "The copy broke off: copy the file again from its source.",
    "corrupt": "Copy the file again from its source; if it is the same there, scan the page again.",
    "unsupported": "A format that is not read here: convert it to TIFF, PNG or JPEG, and drop it again.",
    "encrypted": "Remove the password, and drop the file again.",
    "too_many_pixels": "Larger than TOUNUM_MAX_PIXELS allows: raise that, or reduce the picture.",
    "too_many_pages": "More pages than TOUNUM_MAX_PAGES allows: raise that, or split the file.",
    "too_costly": "Decoding took more time or memory than allowed: save it anew in a plain format, and drop it again.",
    "file_too_large": "Larger than TOUNUM_MAX_FILE_BYTES allows: raise that, or reduce the file.",
    "name_refused": "Rename the file, and drop it again.",
    "original_damaged": "The original in the lake is not what was registered: restore it from a backup.",
    "missing": "The delivery names this file, and it did not come: ask for it.",
    "no_result": "A task left no result: read its log, mend the cause, then work on the day again with items = failed.",
    "internal": "A fault of the program: please report it, with the log of the task.",
}
OTHERWISE = "Read the sentence beside the file; mend it at its source and drop it again."


@router.get("/quarantine")
def quarantine(
    request: Request,
    user: GetUserDep,
    asked: AskedFor,
    after: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
) -> Response:
    """Files without a result, the newest first."""
    lake = lake_of(request)
    wanted = asked.filter
    tags = wanted.tags if any(tag.startswith("error:") for tag in wanted.tags) else (*wanted.tags, "no_result")
    with lake.index() as index:
        found = query.page(
            index, Filter(wanted.first_date, wanted.last_date, wanted.batch_id, tags), AT_ONCE + 1, after=after
        )
        facets = query.facets(index, Filter(wanted.first_date, wanted.last_date, wanted.batch_id))
        rows = found[:AT_ONCE]
        shown = tiles(request, index, rows, {**asked.values, "no_result": "yes"})
        for tile in shown:
            tile["message"] = query.row_of(index, tile["id"]).get("error_message", "")
            tile["advice"] = advice(tile["error_code"])
    reasons = sorted(
        ((tag.removeprefix("error:"), number) for tag, number in facets.items() if tag.startswith("error:")),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return render(
        request, "quarantine.html", title="Quarantine", user=user, tiles=shown, reasons=reasons, asked=asked,
        next=rows[-1]["id"] if len(found) > AT_ONCE else None,
    )  # fmt: skip


def advice(error_code: str | None) -> str:
    """Return what to do about a file without a result, as one sentence."""
    return WHAT_TO_DO.get(error_code or "", OTHERWISE)
