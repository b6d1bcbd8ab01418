"""Templates of the web pages: each can be read, so that no page fails at the first look."""

import pytest

from tounum_airflow.web.render import ENVIRONMENT, FOLDER


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.html")))
def test_template_is_understood(name: str) -> None:
    ENVIRONMENT.get_template(name)
