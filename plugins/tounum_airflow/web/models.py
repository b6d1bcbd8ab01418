"""Models: the versions of each, what their cards say, and which is in production."""

import json
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from tounum_airflow.web.access import may_promote
from tounum_airflow.web.curves import charts_of
from tounum_airflow.web.lake import last_line
from tounum_airflow.web.render import lake_of, render
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.model_kinds import KINDS

router = APIRouter()

# Which figure of a card stands for it in the list, and what it is called.
FIRST_FIGURE = {
    "classifier": (("leave_one_source_out", "macro_f1"), "macro F1 on sources left out"),
    "captioner": (("dev", "beam_3", "cider"), "CIDEr on dev images"),
    "restorer": (("validation", "psnr"), "dB on validation images"),
    "extractor": ((), ""),
}


@router.get("/models")
def models(request: Request, user: GetUserDep, model: str = "", version: str = "") -> Response:
    """All versions; of one, its card."""
    lake = lake_of(request)
    with lake.index() as index:
        rows = [dict(row) for row in index.execute("SELECT * FROM models ORDER BY name, version")]
    listed: dict[str, list[dict[str, Any]]] = {name: [] for name in KINDS}
    for row in rows:
        listed.setdefault(row["name"], []).append(_described(row))
    chosen = next((row for row in listed.get(model, []) if row["version"] == version), None)
    if version and chosen is None:
        raise HTTPException(404, f"There is no version {version} of the {model}.")
    return render(
        request, "models.html", title="Models", user=user, listed=listed, chosen=chosen, figures=FIRST_FIGURE,
        confusion=_confusion(chosen), charts=charts_of(chosen["card"].get("curve", [])) if chosen else [],
    )  # fmt: skip


class Promotion(BaseModel):
    """Which version is to go into production; none: the one before comes back."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
    version: Annotated[str | None, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")] = None


@router.post("/promotions", dependencies=[*may_promote])
def promote(request: Request, body: Promotion, user: GetUserDep) -> Response:
    """Promote a version, or roll back; the version is loaded first, in a process of its own."""
    lake = lake_of(request)
    asked = ("promote", body.model, body.version) if body.version else ("rollback", body.model)
    done = lake.run("models", *asked)
    if done.returncode:
        raise HTTPException(409, last_line(done, "It did not work; the log of the api-server says why."))
    lake.refresh_now()
    return JSONResponse({"detail": done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "Done."})


def _described(row: dict[str, Any]) -> dict[str, Any]:
    content = json.loads(row["content"])
    card = content.get("card") or {}
    path, _ = FIRST_FIGURE.get(row["name"], ((), ""))
    figure: Any = card.get("metrics", {}) if path else None
    for name in path:
        figure = figure.get(name) if isinstance(figure, dict) else None
    return {
        **row,
        "card": card,
        "problem": content.get("problem"),
        "is_starter": content.get("is_starter"),
        "figure": figure,
        "sections": _sections(card.get("metrics", {})),
    }


def _sections(metrics: dict[str, Any], title: str = "") -> list[tuple[str, list[tuple[str, Any]]]]:
    """The figures of a card as tables: one for each group of plain values."""
    plain = [(name, value) for name, value in metrics.items() if not isinstance(value, dict | list | None)]
    found = [(title, plain)] if plain else []
    for name, value in metrics.items():
        if isinstance(value, dict) and name != "confusion":
            found += _sections(value, f"{title}, {name}" if title else name)
    return [(name.replace("_", " "), [(key.replace("_", " "), value) for key, value in rows]) for name, rows in found]


def _confusion(chosen: dict[str, Any] | None) -> list[tuple[str, list[int]]]:
    """The confusion of a classifier's card, a row for each class of its images; none if the card has none."""
    metrics = (chosen or {}).get("card", {}).get("metrics", {})
    found = metrics.get("validation", {}).get("confusion")
    return list(zip(CLASSES, found, strict=False)) if isinstance(found, list) else []
