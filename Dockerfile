# One image for every Airflow service of docker-compose.yaml: the pinned packages, the DAGs, the plugins, tounum_tasks.
# Build it with `docker compose build`; `make test-image` builds and runs it without Docker. Nothing in it runs as root,
# no secret is in it, and no test tools.

ARG BASE=python:3.12-slim-bookworm

FROM $BASE AS packages
# full: everything; lean: what nights need. No TensorFlow, which only trainings (tounum_retrain) use.
ARG VARIANT=full
WORKDIR /build
COPY requirements.txt ./
COPY requirements requirements
# The lock's versions of what this variant uses. Constraints may not name extras.
RUN case $VARIANT in \
        full) uses="run formats airflow cluster read measure train" ;; \
        lean) uses="run formats airflow cluster" ;; \
        *) echo "VARIANT is full or lean, not '$VARIANT'." >&2; exit 2 ;; \
    esac \
    && sed -E 's/\[[A-Za-z0-9,._-]+\]//' requirements.txt > versions.txt \
    && python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint versions.txt \
        $(printf -- '--requirement requirements/%s.in ' $uses)

FROM $BASE
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
    && mkdir -p /opt/airflow \
    # A new named volume takes over owner and mode of the folder that it covers.
    && for folder in ingest lake non_photos quarantine model_cache index datasets training logs; do mkdir -p /data/$folder; done \
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
