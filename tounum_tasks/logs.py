"""Log lines that say which batch, shard and item they are about.

Code logs through ``logging`` as anywhere; whoever knows what a stretch of work is about wraps it in :func:`about`. The
fields are kept where structlog keeps its own: Airflow's task logs hold them as fields of each entry, and
:class:`KeyValueFormatter` writes them as ``key=value`` for the command line.
"""

import logging
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars, get_contextvars

from tounum_tasks.visible import one_line

if TYPE_CHECKING:  # DAG files import this module, and it is to stay light
    from tounum_tasks.items import Item

FIELDS = ("batch", "shard", "path", "page")
_BARE = re.compile(r"[\w.:/+-]+")


def about(**fields: object) -> AbstractContextManager[None]:
    """Add fields to every line that is logged inside: ``batch`` (its id), ``shard`` (its number), ``path``, ``page``.

    Fields reach the same thread only; a thread that is given work binds what the work is about.
    """
    return bound_contextvars(**fields)


def about_item(item: "Item") -> AbstractContextManager[None]:
    """Name one item, with its batch and shard, in every line that is logged inside."""
    return about(batch=item.batch_id, shard=item.shard, path=item.source_path, page=item.page)


class KeyValueFormatter(logging.Formatter):
    """One line per record: time, level, fields as ``key=value``, message.

    Names and messages may hold what somebody else chose: control characters, line breaks and bidirectional overrides
    are escaped, so that nothing can pass for a line or a field that it is not. Lines of a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        bound = get_contextvars()
        fields = [f"{name}={_value(bound[name])}" for name in FIELDS if name in bound]
        head = [self.formatTime(record, "%H:%M:%S"), record.levelname, *fields, one_line(record.getMessage())]
        lines = [" ".join(head)]
        if record.exc_info:
            lines += [f"    {one_line(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


def _value(value: object) -> str:
    text = one_line(str(value))
    if _BARE.fullmatch(text):
        return text
    quoted = text.replace('"', '\\"')
    return f'"{quoted}"'
