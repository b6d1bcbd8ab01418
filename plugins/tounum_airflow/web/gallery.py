"""The gallery: tiles of what a filter finds, to be looked through and corrected with the keyboard."""

import csv
import io
import json
from dataclasses import replace
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from tounum_airflow.web.asked import PAGE_SIZES, SWITCHES, TAGGED, AskedFor
from tounum_airflow.web.lake import last_line
from tounum_airflow.web.places import AskedPlace
from tounum_airflow.web.render import lake_of, render
from tounum_airflow.web.tiles import tiles
from tounum_tasks.search import query

router = APIRouter()

ALIKE = 24


@router.get("/gallery")
def gallery(
    request: Request,
    user: GetUserDep,
    asked: AskedFor,
    after: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    n: Annotated[int, Query(ge=1, le=PAGE_SIZES[-1])] = PAGE_SIZES[0],
) -> Response:
    """One page of tiles."""
    lake = lake_of(request)
    with lake.index() as index:
        backwards = before is not None
        found = query.page(index, asked.filter, n + 1, after=before if backwards else after, backwards=backwards)
        is_more, rows = len(found) > n, found[:n]
        if backwards:
            rows.reverse()
        is_whole = after is None and before is None and not is_more
        number, is_all = (len(rows), True) if is_whole else query.count(index, asked.filter)
        facets = query.facets(index, asked.filter)
        shown = tiles(request, index, rows, asked.values)
    return render(
        request, "gallery.html", title="Gallery", user=user, asked=asked, tiles=shown, n=n, sizes=PAGE_SIZES,
        number=number, is_all=is_all, choices=choices(facets), facets=facets,
        next=rows[-1]["id"] if rows and (backwards or is_more) else None,
        previous=rows[0]["id"] if rows and (is_more if backwards else after is not None) else None,
    )  # fmt: skip


@router.get("/like")
def like(
    request: Request,
    user: GetUserDep,
    place: AskedPlace,
) -> Response:
    """Tiles of photographs that look like one, found by a process of its own."""
    lake = lake_of(request)
    with lake.index() as index:
        item = place.item(index)
    done = lake.run("search", f"--like={item['image_id']}", "--count", str(ALIKE + 1), "--json", "-")
    if done.returncode:
        raise HTTPException(404, last_line(done, "Nothing can be compared with this image."))
    found = [json.loads(line)["image_id"] for line in done.stdout.splitlines() if line]
    with lake.index() as index:
        rows = [
            copies[0]
            for image_id in found
            if image_id != item["image_id"] and (copies := query.of_image(index, image_id))
        ]
        shown = tiles(request, index, rows[:ALIKE], {})
    return render(request, "alike.html", title="More like this", user=user, tiles=shown)


@router.get("/scan-again.csv")
def scan_again(request: Request, asked: AskedFor) -> Response:
    """What has to be scanned again of what a filter finds, as a list to print or to hand on."""
    wanted = replace(asked.filter, tags=tuple({*asked.filter.tags, "mark:scan_again"}), sort="newest")
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["batch_date", "batch_id", "batch_name", "source_path", "page", "class", "caption"])
    after = None
    with lake_of(request).index() as index:
        while rows := query.page(index, wanted, 1000, after=after):
            after = rows[-1]["id"]
            for row in rows:
                name = query.batch(index, row["batch_date"], row["batch_id"])
                lines.writerow(
                    _harmless(value) for value in (
                        row["batch_date"], row["batch_id"], name["batch_name"] if name else "", row["source_path"],
                        row["page"], row["label"], row["caption"],
                    )
                )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="scan-again-{wanted.batch_id or "all"}.csv"'}
    return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _harmless(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def choices(facets: dict[str, int]) -> dict[str, list[tuple[str, int]]]:
    """Return what can be chosen for each parameter, with how many items have it, the most frequent first."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in (*TAGGED, *SWITCHES)}
    for tag, number in sorted(facets.items(), key=lambda pair: (-pair[1], pair[0])):
        for name, begin in TAGGED.items():
            if tag.startswith(begin):
                found[name].append((tag.removeprefix(begin), number))
        for name, whole in SWITCHES.items():
            if tag == whole:
                found[name].append(("yes", number))
    return found
