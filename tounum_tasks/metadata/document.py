"""What the information dictionary of a PDF file says (ISO 32000-1, 14.3.3), in the fields that people look for."""

import re
from collections.abc import Mapping

from tounum_tasks.metadata.fields import Fields, distinct, pdf_date, plain


def document_fields(information: Mapping[str, str]) -> Fields:
    """Return the fields of a document: it says when it became a file, and nothing of when its pictures were taken."""
    return Fields(
        digitised_at=pdf_date(information.get("CreationDate")),
        title=plain(information.get("Title")),
        description=plain(information.get("Subject")),
        keywords=distinct(re.split("[;,]", information.get("Keywords", ""))),
    )
