"""Which models made the rows of a manifest, and how a manifest names them."""

import pyarrow as pa
import pyarrow.compute as pc

from tounum_tasks.model_kinds import KINDS
from tounum_tasks.plan import ModelPin

# Of the models that steps use.
MODEL_COLUMNS = {kind.name: kind.column for kind in KINDS.values() if kind.column}


def version_of(pin: ModelPin) -> str:
    """How the manifest names a model: version and the beginning of its digest."""
    return f"{pin.version}@{pin.digest[:12]}"


def distinct(table: pa.Table, column: str) -> list[str]:
    """Return the values in a column of a manifest, sorted; none if the manifest is older than the column."""
    return sorted(pc.unique(table[column].drop_null()).to_pylist()) if column in table.column_names else []
