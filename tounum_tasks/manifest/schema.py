"""The columns of a manifest. Raise ``SCHEMA_VERSION`` with every change that a reader could notice."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from tounum_tasks.manifest.sources import BY_MODEL

SCHEMA_VERSION = 4

# How columns and steps were called before, by today's name: up to version 2.
EARLIER_NAMES = {"measure_and_enhance": "measure", "extract_features": "features"}
_RENAMED = {
    f"{kind}_{before}": f"{kind}_{name}"
    for name, before in EARLIER_NAMES.items()
    for kind in ("fingerprint", "seconds")
}

# Up to version 3 all was said by models. What later columns say of such rows is what this column said.
_SAID_BY_MODELS = {
    "model_label": "label",
    "label_source": "label",
    "model_caption": "caption",
    "caption_source": "caption",
}

CLASS_COLUMNS = {
    "Painting": "prob_painting",
    "Photo": "prob_photo",
    "Schematics": "prob_schematics",
    "Sketch": "prob_sketch",
    "Text": "prob_text",
}

STATUS_OK, STATUS_QUARANTINED, STATUS_FAILED = "ok", "quarantined", "failed"

# What a file's own metadata say about the version as a whole, beside the columns.
PUBLISHED_BY, PUBLISHED_AT = b"published_by", b"published_at"

# Parquet calls the elements of a list "element"; so do we, for a manifest that is read back equals what was written.
_text, _real, _flag = pa.string(), pa.float64(), pa.bool_()
_texts = pa.list_(pa.field("element", pa.string()))
_flags = pa.struct([("flag", _text), ("score", _real), ("threshold", _real), ("reason", _text)])


def _field(
    name: str,
    kind: pa.DataType,
    description: str,
    *,
    required: bool = False,
    decimals: int | None = None,
    describes_run: bool = False,
) -> pa.Field:
    metadata = {"description": description}
    if decimals is not None:
        metadata["decimals"] = str(decimals)
    if describes_run:
        metadata["describes"] = "run"
    return pa.field(name, kind, nullable=not required, metadata=metadata)


def _quality(suffix: str, when: str) -> list[pa.Field]:
    return [
        _field(f"blur_laplacian_var_{suffix}", _real, f"Variance of the Laplacian {when}: small is blurry", decimals=2),
        _field(f"noise_sigma_{suffix}", _real, f"Wavelet estimate of the noise {when}, in grey levels", decimals=3),
        _field(f"brightness_{suffix}", _real, f"Mean grey level {when}, 0 to 255", decimals=2),
        _field(f"contrast_{suffix}", _real, f"Standard deviation of the grey levels {when}", decimals=2),
        _field(f"quality_flags_{suffix}", _texts, f"What is remarkable {when}: blurry, noisy, dark, light, ..."),
    ]


def _seconds(stage: str) -> pa.Field:
    return _field(
        f"seconds_{stage}", _real, f"Time that the stage {stage} took for this image", decimals=4, describes_run=True
    )


SCHEMA = pa.schema(
    [
        # Keys and provenance
        _field("batch_id", _text, "Batch, unique in the lake", required=True),
        _field("batch_date", _text, "Date on which the batch was taken in, YYYY-MM-DD", required=True),
        _field("batch_name", _text, "Name of the folder as it arrived", required=True),
        _field("source_path", _text, "Path of the file below the batch's folder", required=True),
        _field("page", pa.int32(), "Page of the file, from 1", required=True),
        _field("pages", pa.int32(), "Number of pages of the file", required=True),
        _field("image_id", _text, "sha256 of the file, with the page for files of several pages", required=True),
        _field("sha256", _text, "sha256 of the file", required=True),
        _field("original_uri", _text, "Where the bytes lie as they came", required=True),
        _field("bytes", pa.int64(), "Size of the file", required=True),
        _field(
            "format",
            _text,
            "Format by content: jpeg, png, tiff, webp, avif, bmp, gif, pnm, pcx, jpeg2000, pdf, raw, heic",
        ),
        _field("checksum", _text, "What the delivery said of the file: md5:, sha256:, ... and hex digits"),
        _field("checksum_source", _text, "Checksum list or manifest of the batch that said so, its source_path"),
        _field("sidecars", _texts, "Files of the batch that describe this image, their source_paths"),
        _field("width_px", pa.int32(), "Width of the upright page in pixels, which are square"),
        _field("height_px", pa.int32(), "Height of the upright page in pixels, which are square"),
        _field("colour_mode", _text, "Colour mode of the file: 1, L, RGB, RGBA, CMYK, ..."),
        _field("bit_depth", pa.int32(), "Bits per channel of the file"),
        _field(
            "dpi",
            _real,
            "Resolution of the upright page, whose pixels are square: the larger of dpi_x and dpi_y if they differ, "
            "or at which a PDF page was rendered",
            decimals=2,
        ),
        _field("dpi_x", _real, "Resolution that the file states along its rows, before it is turned", decimals=2),
        _field("dpi_y", _real, "Resolution that the file states along its columns, before it is turned", decimals=2),
        _field("exif_orientation", pa.int32(), "EXIF orientation of the file, 1 to 8; pixels are turned upright"),
        _field(
            "suspect_end",
            _real,
            "Share of the page, 0 to 1, that is empty at the end of the file as if a copy broke off: copy it again",
            decimals=4,
        ),
        _field("phash", _text, "Perceptual hash of the upright page, 64 bits as hex"),
        _field(
            "captured_at", _text, "When the picture was taken, ISO 8601, as precise as its metadata say (1923, ...)"
        ),
        _field("digitised_at", _text, "When it was scanned or became a file, by its metadata, ISO 8601"),
        _field("device", _text, "Maker and model of the camera or scanner, by its metadata"),
        _field("title", _text, "Title that the delivery gives: a table, a sidecar, or the file's metadata"),
        _field("description", _text, "Description that the delivery gives"),
        _field("inventory_number", _text, "Inventory number that the delivery gives"),
        _field("copyright", _text, "Copyright notice that the delivery gives"),
        _field("keywords", _texts, "Keywords that the delivery gives"),
        _field("metadata_left_out", _texts, "What of its metadata could not be read or kept, as sentences"),
        _field("duplicate_of", _text, "source_path of the first file with the same bytes, here or in an earlier batch"),
        _field("duplicate_of_batch", _text, "batch_id of duplicate_of, if that is an earlier batch"),
        _field("near_duplicate_of", _text, "source_path of an image before this photo or painting that looks the same"),
        _field("near_duplicate_of_page", pa.int32(), "Its page"),
        _field("near_duplicate_of_batch", _text, "Its batch_id, if that is an earlier batch"),
        _field("near_duplicate_distance", pa.int32(), "How many of the 64 bits of phash differ"),
        # Quality and enhancement
        *_quality("before", "before enhancement"),
        *_quality("after", "after enhancement"),
        _field("enhancement_method", _text, "auto, classic or off"),
        _field("enhancement_operations", _texts, "Operations that were applied, in order"),
        _field("enhancement_accepted", _flag, "Whether a change was accepted"),
        _field("enhancement_reason", _text, "Why the image was changed, reverted or left alone"),
        _field("restorer_version", _text, "Version and digest of the restorer, where mode auto judged the image"),
        # The page as a person sees it
        _field(
            "page_flags",
            pa.list_(pa.field("element", _flags)),
            "What a person would see: border, blank, skewed, sideways, several, negative; each with score and reason",
        ),
        _field("skew_degrees", _real, "How far the lines are turned clockwise; null: no sure lines", decimals=3),
        _field(
            "turn_degrees",
            pa.int32(),
            "How far to turn it clockwise, so that it is upright: 90, 180, 270",
        ),
        _field(
            "content_box",
            pa.list_(pa.field("element", pa.int32())),
            "Left, top, right and bottom of what a border surrounds, in pixels of the upright page; null: no border",
        ),
        _field(
            "photo_boxes",
            pa.list_(pa.field("element", pa.list_(pa.field("element", _real)))),
            "Photographs of a sheet with several: x and y of four corners, clockwise, in pixels of the upright page",
        ),
        # Class and route
        _field("label", _text, "Class: Painting, Photo, Schematics, Sketch or Text; a person's, if one gave it"),
        _field("label_source", _text, "Whose the label is: model or person"),
        _field("model_label", _text, "Class that the classifier found"),
        _field("confidence", _real, "Probability of model_label", decimals=4),
        *(_field(column, _real, f"Probability of {label}", decimals=4) for label, column in CLASS_COLUMNS.items()),
        _field("is_photo", _flag, "Whether it is a photograph that is not blank: it went on to features and a caption"),
        _field("needs_review", _flag, "Whether a person should look at it"),
        _field("review_reasons", _texts, "Why: class or caption (doubtful), end (see suspect_end)"),
        _field("marks", _texts, "What people said of it: label, caption, good, scan_again, taken_care; null: nothing"),
        _field("reviewed_by", _text, "Who said the latest of it"),
        _field("reviewed_at", _text, "When, ISO 8601 in UTC"),
        _field("classifier_version", _text, "Version and digest of the classifier"),
        _field(
            "destination_uri", _text, "Where the image was put: photos, a class of non_photos or blank, or quarantine"
        ),
        # Features and caption
        _field(
            "features_uri",
            _text,
            "Folder of Parquet files with the features, found by fingerprint_extract_features",
        ),
        _field("extractor_version", _text, "Version and digest of the feature extractor"),
        _field("caption", _text, "Caption of a photograph; a person's, if one gave it"),
        _field("caption_source", _text, "Whose the caption is: model or person"),
        _field("model_caption", _text, "Caption that the captioner found"),
        _field("caption_words", _texts, "Words of model_caption, as the attention maps count them"),
        _field("caption_log_probability", _real, "Log-probability of model_caption, natural", decimals=3),
        _field("caption_confidence", _real, "Expected quality of model_caption, 0 to 1", decimals=4),
        _field("caption_alternatives", _texts, "Other captions that the search found, best first"),
        _field("attention_uri", _text, "Folder of Parquet files with the attention maps, found by fingerprint_caption"),
        _field("captioner_version", _text, "Version and digest of the captioner"),
        # Outcome
        _field("status", _text, "ok, quarantined (could not be read) or failed (no result)", required=True),
        _field("error_code", _text, "What was wrong, as a word"),
        _field("error_message", _text, "What was wrong, as a sentence"),
        # Fingerprints
        _field("fingerprint_measure_and_enhance", _text, "Fingerprint of the metrics and the enhancement"),
        _field("fingerprint_classify", _text, "Fingerprint of the class"),
        _field("fingerprint_route", _text, "Fingerprint of the route"),
        _field("fingerprint_extract_features", _text, "Fingerprint of the features"),
        _field("fingerprint_caption", _text, "Fingerprint of the caption"),
        # The run that made the row
        _seconds("measure_and_enhance"),
        _seconds("classify"),
        _seconds("route"),
        _seconds("extract_features"),
        _seconds("caption"),
        _field("reused_stages", _texts, "Stages whose committed result was taken as it was", describes_run=True),
        _field("run_id", _text, "Run that made this row", required=True, describes_run=True),
        _field("code_version", _text, "Version of TouNum", required=True, describes_run=True),
        _field("manifest_version", pa.int32(), "Version of the manifest, from 1", required=True, describes_run=True),
        _field("schema_version", pa.int32(), "Version of these columns", required=True),
    ],
    metadata={"schema_version": str(SCHEMA_VERSION), "producer": "TouNum"},
)

RUN_COLUMNS = tuple(field.name for field in SCHEMA if field.metadata.get(b"describes") == b"run")
ITEM_COLUMNS = tuple(name for name in SCHEMA.names if name not in RUN_COLUMNS)
KEY_COLUMNS = ("batch_id", "source_path", "page")


def round_floats(row: dict) -> dict:
    """Return ``row`` with every float rounded to the decimals that its column states."""
    rounded = dict(row)
    for field in SCHEMA:
        value = rounded.get(field.name)
        if value is not None and b"decimals" in field.metadata:
            rounded[field.name] = round(float(value), int(field.metadata[b"decimals"]))
    return rounded


def as_today(table: pa.Table) -> pa.Table:
    """Return the table of a manifest of any version as if it were of today's.

    Columns and steps are called as they are today, and where a column says more than an earlier one did, it is derived.
    """
    version = int((table.schema.metadata or {}).get(b"schema_version", SCHEMA_VERSION))
    if version < 3:
        table = _with_todays_names(table)
    return _with_sources(table) if version < 4 else table


def with_earlier_columns(columns: Iterable[str]) -> list[str]:
    """Return names of columns, and those of earlier versions from which :func:`as_today` makes them."""
    wanted = list(columns)
    earlier = [before for before, name in _RENAMED.items() if name in wanted]
    earlier += [before for name, before in _SAID_BY_MODELS.items() if name in wanted]
    return list(dict.fromkeys([*wanted, *earlier]))


def _with_todays_names(table: pa.Table) -> pa.Table:
    table = table.rename_columns([_RENAMED.get(name, name) for name in table.column_names])
    if "reused_stages" not in table.column_names:
        return table
    today = {before: name for name, before in EARLIER_NAMES.items()}
    reused = [names and [today.get(name, name) for name in names] for names in table["reused_stages"].to_pylist()]
    position = table.column_names.index("reused_stages")
    return table.set_column(position, SCHEMA.field("reused_stages"), pa.array(reused, _texts))


def _with_sources(table: pa.Table) -> pa.Table:
    """Add what models said, and that it was they who said it."""
    for name, before in _SAID_BY_MODELS.items():
        if before in table.column_names and name not in table.column_names:
            said = table[before]
            by_model = pc.if_else(pc.is_valid(said), BY_MODEL, pa.scalar(None, _text))
            table = table.append_column(SCHEMA.field(name), said if name.startswith("model_") else by_model)
    return table


def without_publication(table: pa.Table) -> pa.Table:
    """Return ``table`` without what its file said about the version as a whole."""
    metadata = table.schema.metadata or {}
    kept = {key: value for key, value in metadata.items() if key not in (PUBLISHED_BY, PUBLISHED_AT)}
    return table.replace_schema_metadata(kept)
