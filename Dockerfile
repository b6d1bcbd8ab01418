# One image for every Airflow service of docker-compose.yaml: the pinned packages, the DAGs, the plugins, tounum_tasks.
# Build it with `docker compose build`. Nothing in it runs as root, and no secret is in it.

FROM python:3.12-slim-bookworm AS packages
WORKDIR /build
COPY requirements.in requirements.txt ./
# The lock's versions, without what only tests and linters need. Constraints may not name extras.
RUN sed '/^# Development/,$d' requirements.in > runtime.in \
    && sed -E 's/\[[A-Za-z0-9,._-]+\]//' requirements.txt > versions.txt \
    && python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint versions.txt --requirement runtime.in

FROM python:3.12-slim-bookworm
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
    && mkdir -p /opt/airflow \
    # A new named volume takes over owner and mode of the folder that it covers.
    && for folder in ingest lake non_photos quarantine model_cache datasets training logs; do mkdir -p /data/$folder; done \
    && chown -R 50000:0 /opt/airflow /data \
    && chmod -R g=u /opt/airflow /data
COPY --from=packages /opt/venv /opt/venv
COPY tounum_tasks /opt/tounum/tounum_tasks
COPY plugins /opt/tounum/plugins
COPY dags /opt/tounum/dags
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN python -m compileall -q /opt/tounum
USER 50000:0
WORKDIR /opt/airflow
