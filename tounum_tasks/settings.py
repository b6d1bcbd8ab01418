"""All settings of the pipeline, typed and validated in one place; the models' versions are in ``model_kinds``.

Every field can be set by an environment variable ``TOUNUM_<FIELD>`` (for example ``TOUNUM_QUIET_SECONDS=60``)
or by a line in a file ``.env`` in the working directory. Command line options override both.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.metadata.table import mapping_of
from tounum_tasks.model_kinds import ModelVersions

EnhancementMode = Literal["auto", "classic", "off"]

MAX_PREFIX_BYTES = 180  # S3 takes keys of 1024 bytes: this, 133 for our own folders, and what names.py leaves a file


def root_url(path_or_url: str) -> str:
    """Return ``path_or_url`` as a URL without a trailing slash; a plain path becomes an absolute ``file://`` URL."""
    if "\0" in path_or_url or not path_or_url.strip():
        raise ValueError("a root must be a folder or a URL such as s3://bucket/folder")
    if "://" in path_or_url:
        scheme, _, rest = path_or_url.partition("://")
        if scheme not in ("file", "s3"):
            raise ValueError(f"roots are folders, file:// or s3:// URLs, not {scheme}://")
        if scheme == "s3":
            return f"s3://{_bucket_and_prefix(rest)}"
        path_or_url = rest
    return "file://" + str(Path(path_or_url).expanduser().absolute())


def _bucket_and_prefix(rest: str) -> str:
    # What is refused is not repeated: it may hold a secret.
    if "@" in rest or "?" in rest:
        raise ValueError("an s3:// root is s3://bucket/folder; credentials and options belong in the environment")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise ValueError("the name of a bucket has 3 to 63 of a-z, 0-9, '.' and '-', as in s3://bucket/folder")
    if prefix and not re.fullmatch(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*", prefix, re.ASCII):
        raise ValueError("the folder of an s3:// root holds letters, digits, '.', '_', '-', '=' and single '/' alone")
    if len(prefix) > MAX_PREFIX_BYTES:
        raise ValueError(f"the folder of an s3:// root has at most {MAX_PREFIX_BYTES} characters")
    return f"{bucket}/{prefix}".rstrip("/")


class Settings(ModelVersions, BaseSettings):
    """Settings with their defaults; invalid values are refused when they are read, not when they are used."""

    model_config = SettingsConfigDict(
        env_prefix="TOUNUM_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    # Where things lie
    ingest_root: str = Field("data/ingest", description="Folder that is watched for new batches")
    lake_root: str = Field("data/lake", description="Originals, photos, features, manifests, models, reports")
    non_photos_root: str = Field("data/non_photos", description="Bucket of what is not a photograph")
    quarantine_root: str = Field("data/quarantine", description="Bucket of what could not be read")

    s3_connection: str = Field(
        "", description="Airflow connection (type aws) with the credentials for s3:// roots; empty: the environment's"
    )

    # Intake
    quiet_seconds: Annotated[float, Field(ge=0)] = Field(
        300, description="A batch without _READY is taken when nothing in it changed for so long"
    )
    files_at_once: Annotated[int, Field(ge=1, le=64)] = Field(
        16, description="Files that intake copies, and registers that it reads, side by side"
    )
    ignore: str = Field(
        "",
        description="Patterns, separated by commas, of files and folders that stay in ingest, for example "
        "'*.xmp, proofs, raw/*.tmp.jpg'",
    )
    incomplete: Literal["wait", "take"] = Field(
        "wait",
        description="Whether a batch waits in ingest while files are missing or differ by its own checksums; take: it "
        "comes in, with a row for each such file",
    )
    wait_minutes: Annotated[float, Field(ge=0)] = Field(
        60, description="How long a scheduled run waits for batches that are still settling"
    )
    timezone: str = Field("UTC", description="Zone of the batch date and of the schedule")
    schedule: str = Field("0 2 * * *", description="Cron expression of the nightly run")
    notify_connection: str = Field(
        "tounum_notify",
        description="Airflow connection (HTTP or SMTP) through which people hear of failed and late runs",
    )
    deadline_hours: Annotated[float, Field(ge=0)] = Field(
        8, description="People are told of a scheduled run that has not succeeded so long after its time; 0: never"
    )
    shard_size: Annotated[int, Field(ge=1, le=10_000)] = Field(256, description="Images per mapped task")
    batch_shards: Annotated[int, Field(ge=1)] = Field(
        64,
        description="A batch of more images than so many shards hold gets larger shards: "
        "the scheduler looks at each of a run's shards again and again",
    )
    max_shards: Annotated[int, Field(ge=1)] = Field(
        1000, description="Most shards of one run; Airflow maps at most max_map_length (1024). The rest waits"
    )
    unfinished_days: Annotated[int, Field(ge=0)] = Field(
        31, description="How many days back a run looks for batches that were taken in but never published"
    )
    min_free_gib: Annotated[float, Field(ge=0)] = Field(
        1.0, description="Free space that must be left in the lake after a batch was taken in"
    )

    # Images
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        100_000_000,
        description="Larger pages are quarantined, by their header, before decoding; one needs some 8 bytes a pixel, "
        "times decode_threads",
    )
    max_file_bytes: Annotated[int, Field(ge=1)] = Field(2 * 2**30, description="Larger files are quarantined unread")
    max_pages: Annotated[int, Field(ge=1)] = Field(2_000, description="Files with more pages are quarantined")
    pdf_dpi: Annotated[float, Field(ge=36, le=1200)] = Field(300, description="Resolution of rendered PDF pages")
    page_seconds: Annotated[int, Field(ge=1)] = Field(
        60, description="Processor time that decoding a page may take; a page that takes more is quarantined"
    )
    file_seconds: Annotated[int, Field(ge=1)] = Field(
        3_600, description="Processor time that decoding all pages of a file may take"
    )
    decode_memory_gib: Annotated[float, Field(ge=0.25)] = Field(
        2.0, description="Memory that decoding a page may take beyond what the file and max_pixels need"
    )
    decode_threads: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Images measured at once")

    # Enhancement and classification
    enhancement: EnhancementMode = Field("auto", description="auto accepts improvements only")
    review_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        0.7, description="Items classified with less confidence are flagged needs_review"
    )
    caption_review_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        0.26, description="Photographs whose caption has less confidence are flagged needs_review"
    )
    doubtful_captions: Literal["keep", "short", "none"] = Field(
        "keep",
        description="What becomes of captions with less confidence than that: keep them, put a short safer one in "
        "their place, or none",
    )

    # Metadata
    metadata_columns: str = Field(
        "",
        description="What the columns of tables (CSV) beside images mean, as JSON, for example "
        '\'{"file": "Filename", "title": "Title", "inventory_number": "Inv.No."}\'; empty: tables are not read',
    )
    write_captions: Literal["off", "sidecar"] = Field(
        "off",
        description="sidecar: an XMP file beside each photograph in lake/photos has its caption, class and source",
    )

    # Models; their versions are those of ModelVersions
    beam: Annotated[int, Field(ge=1, le=20)] = Field(3, description="Beam width of caption search")
    runtime: Literal["openvino", "keras"] = Field(
        "openvino",
        description="What computes the models: keras, slow to start and with TensorFlow, where there is no OpenVINO. "
        "Results differ by rounding",
    )
    model_slots: Annotated[int, Field(ge=1)] = Field(2, description="Slots of the Airflow pool tounum_model")
    model_queue: str = Field(
        "default", description="Celery queue of the tasks in that pool; workers of their own can serve another queue"
    )
    model_cache: str = Field("data/model_cache", description="Local copies of models that lie in remote storage")
    datasets_root: str = Field(
        "data/datasets", description="Folder of the data sets that the DAG tounum_retrain may train on"
    )
    index_cache: str = Field(
        "data/index",
        description="Folder on a local disk of the host of the web UI for the index of its pages; may be deleted",
    )
    training_root: str = Field(
        "data/training", description="Folder for checkpoints and caches of trainings; shared by all workers"
    )

    # Outcome
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="Share of failed and quarantined items above which a run ends failed, after publishing"
    )

    # History
    keep_days: Annotated[int, Field(ge=1)] = Field(
        90, description="How many days the command prune keeps replaced manifests and the results that they need"
    )
    reprocess_schedule: str = Field(
        "0 5 * * *",
        description="Cron expression of tounum_reprocess, which brings old batches to the models in production",
    )

    @field_validator("ingest_root", "lake_root", "non_photos_root", "quarantine_root")
    @classmethod
    def _as_url(cls, value: str) -> str:
        return root_url(value)

    @field_validator("datasets_root", "training_root")
    @classmethod
    def _as_folder(cls, value: str) -> str:
        url = root_url(value)
        if not url.startswith("file://"):
            raise ValueError("training reads and writes folders; mount the bucket and give its folder")
        return url

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is no time zone; use a name such as Europe/Berlin") from error
        return value

    @field_validator("metadata_columns")
    @classmethod
    def _as_mapping(cls, value: str) -> str:
        mapping_of(value)
        return value

    @property
    def metadata_mapping(self) -> dict[str, str]:
        """The columns of the setting ``metadata_columns``, by what they mean."""
        return mapping_of(self.metadata_columns)

    @property
    def ignored_patterns(self) -> tuple[str, ...]:
        """The patterns of the setting ``ignore``."""
        return tuple(pattern.strip() for pattern in self.ignore.split(",") if pattern.strip())

    def image_limits(self) -> ImageLimits:
        """Return what one file may ask of this machine."""
        return ImageLimits(
            max_pixels=self.max_pixels,
            max_pages=self.max_pages,
            pdf_dpi=self.pdf_dpi,
            page_seconds=self.page_seconds,
            file_seconds=self.file_seconds,
            decode_memory=int(self.decode_memory_gib * 2**30),
        )

    @model_validator(mode="after")
    def _roots_apart(self) -> "Settings":
        """Nothing that the pipeline writes may lie in the watched folder, or it would digest its own output."""
        ingest = _real(self.ingest_root)
        for field in ("lake_root", "non_photos_root", "quarantine_root"):
            root = _real(getattr(self, field))
            if (root + "/").startswith(ingest + "/"):
                raise ValueError(f"{field} lies inside ingest_root ({self.ingest_root}); choose another folder")
            if (ingest + "/").startswith(root + "/"):
                raise ValueError(f"ingest_root lies inside {field} ({root}); choose another folder")
        return self


def _real(root: str) -> str:
    """The root without links and ``..``, where it is a folder."""
    folder = root.removeprefix("file://")
    return root if folder == root else "file://" + os.path.realpath(folder)


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment; ``overrides`` win (those that are None are left out).

    Raises:
        ConfigurationError: a value is invalid; one line names the variable and what to do.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        where = f"TOUNUM_{name.upper()}: " if name else ""
        raise ConfigurationError(f"Wrong setting: {where}{message}.") from error
