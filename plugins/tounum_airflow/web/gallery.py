"""The gallery: tiles of what a filter finds, to be looked through and corrected with the keyboard."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from tounum_airflow.web.asked import PAGE_SIZES, SWITCHES, TAGGED, AskedFor
from tounum_airflow.web.render import lake_of, render
from tounum_airflow.web.tiles import tiles
from tounum_tasks.search import query

router = APIRouter()


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
    lake.keep_fresh()
    if not lake.has_index:
        return render(request, "waiting.html", title="Gallery", user=user)
    with lake.index() as index:
        backwards = before is not None
        found = query.page(index, asked.filter, n + 1, after=before if backwards else after, backwards=backwards)
        is_more, rows = len(found) > n, found[:n]
        if backwards:
            rows.reverse()
        number, is_all = query.count(index, asked.filter)
        facets = query.facets(index, asked.filter)
        shown = tiles(request, index, rows, asked.values)
    return render(
        request, "gallery.html", title="Gallery", user=user, asked=asked, tiles=shown, n=n, sizes=PAGE_SIZES,
        number=number, is_all=is_all, choices=choices(facets), facets=facets,
        next=rows[-1]["id"] if rows and (backwards or is_more) else None,
        previous=rows[0]["id"] if rows and (is_more if backwards else after is not None) else None,
    )  # fmt: skip


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
