"""What an address asks for: which items, in which order. The address is all the state that a page has."""

from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from fastapi import Depends, HTTPException, Query

from tounum_airflow.web.places import checked_date
from tounum_tasks.search.query import Filter, Sort

PAGE_SIZES = (60, 120, 200)
# Parameters of an address that ask for a tag, and how its tag begins.
TAGGED = {
    "class": "class:",
    "route": "route:",
    "flag": "flag:",
    "reason": "reason:",
    "status": "status:",
    "error": "error:",
    "mark": "mark:",
    "shard": "shard:",
}
SWITCHES = {
    "review": "review",
    "corrected": "corrected",
    "enhanced": "enhanced",
    "duplicate": "duplicate",
    "seen": "seen",
    "no_result": "no_result",
}


@dataclass(frozen=True)
class Asked:
    """The filter of an address, and its values as they stood there, for the links of the page."""

    filter: Filter
    values: dict[str, Any] = field(default_factory=dict)


def asked(
    first: Annotated[str, Query(alias="from", max_length=10)] = "",
    last: Annotated[str, Query(alias="to", max_length=10)] = "",
    date: Annotated[str, Query(max_length=10)] = "",
    batch: Annotated[str, Query(max_length=80, pattern="^[a-z0-9-]*$")] = "",
    label: Annotated[str, Query(alias="class", max_length=40)] = "",
    route: Annotated[str, Query(max_length=40)] = "",
    flag: Annotated[str, Query(max_length=40)] = "",
    reason: Annotated[str, Query(max_length=40)] = "",
    status: Annotated[str, Query(max_length=40)] = "",
    error: Annotated[str, Query(max_length=40)] = "",
    mark: Annotated[str, Query(max_length=40)] = "",
    shard: Annotated[str, Query(max_length=6, pattern="^[0-9]*$")] = "",
    review: Annotated[str, Query(max_length=5)] = "",
    corrected: Annotated[str, Query(max_length=5)] = "",
    enhanced: Annotated[str, Query(max_length=5)] = "",
    duplicate: Annotated[str, Query(max_length=5)] = "",
    seen: Annotated[str, Query(max_length=5)] = "",
    no_result: Annotated[str, Query(max_length=5)] = "",
    q: Annotated[str, Query(max_length=1000)] = "",
    sort: Annotated[str, Query(max_length=10)] = "",
) -> Asked:
    """Return what an address asks for.

    Raises:
        HTTPException: 422, with a sentence: a date is none, or there is no such order.
    """
    first, last = first or date, last or date
    for name, value in (("from", first), ("to", last)):
        _check_date(name, value)
    if sort and sort not in get_args(Sort):
        raise HTTPException(422, f"There is no order '{sort}': choose newest, unsure or caption.")
    if batch and not first:
        raise HTTPException(422, "A batch is found by its date as well: add date=YYYY-MM-DD.")
    tagged = {
        "class": label,
        "route": route,
        "flag": flag,
        "reason": reason,
        "status": status,
        "error": error,
        "mark": mark,
        "shard": shard,
    }
    switched = {
        "review": review,
        "corrected": corrected,
        "enhanced": enhanced,
        "duplicate": duplicate,
        "seen": seen,
        "no_result": no_result,
    }
    tags = [TAGGED[name] + value for name, value in tagged.items() if value]
    tags += [SWITCHES[name] for name, value in switched.items() if value]
    wanted = Filter(first, last, batch, tuple(tags), q, sort or "newest")  # type: ignore[arg-type]
    bounds = {"date": first} if first == last else {"from": first, "to": last}
    given = {**bounds, "batch": batch, **tagged, **switched, "q": q, "sort": sort}
    return Asked(wanted, {name: value for name, value in given.items() if value})


def _check_date(name: str, value: str) -> None:
    try:
        checked_date(value)
    except ValueError as error:
        raise HTTPException(422, f"{error} ({name}).") from None


AskedFor = Annotated[Asked, Depends(asked)]
