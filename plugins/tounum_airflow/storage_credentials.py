"""Credentials for ``s3://`` roots from an Airflow connection, fetched by the process that needs them.

They go straight to the client of the store: into no environment variable, no task argument, no XCom.
"""

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.settings import load_settings


def from_connection() -> dict[str, str]:
    """Return what the connection named by ``TOUNUM_S3_CONNECTION`` says; nothing if there is no such setting.

    Of a connection of type ``aws`` login and password are key id and secret; the extra may hold ``aws_session_token``,
    ``region_name`` and ``endpoint_url``. What it does not say comes from the environment.

    Raises:
        ConfigurationError: there is no such connection.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    connection_id = load_settings().s3_connection
    if not connection_id:
        return {}
    try:
        connection = Connection.get(connection_id)
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"There is no connection '{connection_id}': create it (type aws), or correct TOUNUM_S3_CONNECTION."
        ) from error
    extra = connection.extra_dejson
    said = {
        "aws_access_key_id": connection.login,
        "aws_secret_access_key": connection.password,
        **{name: extra.get(name) for name in ("aws_session_token", "region_name", "endpoint_url")},
    }
    return {name: value for name, value in said.items() if value}
