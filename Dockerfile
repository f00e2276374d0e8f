# Serving only: no torch, no compiler, no pip, no root. The model lies inside.
# A release pins the base by digest: --build-arg BASE=docker.io/library/python@sha256:...
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/neumo
COPY requirements/image.txt requirements/image.txt
RUN /opt/neumo/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE neumo_start.py ./
COPY app app
COPY training training
COPY models models
RUN /opt/neumo/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/neumo/bin/pip uninstall --yes --quiet setuptools pip \
    && rm -rf /opt/neumo/lib/python3*/site-packages/training /opt/neumo/bin/neumo-train

FROM ${BASE}
# `make image` says which: app/__init__.py does.
ARG VERSION=unknown
LABEL org.opencontainers.image.title="neumo" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.description="Chest X-ray classification over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/neumo /opt/neumo
ENV PATH=/opt/neumo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NEUMO_HOST=0.0.0.0
# Volumes that are mounted here take the owner over.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/neumo /var/lib/neumo/audit /var/lib/neumo/exchange \
        /var/lib/neumo/key
USER 10001:10001
EXPOSE 8000 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["neumo", "health", "ready"]
ENTRYPOINT ["neumo"]
CMD ["serve"]
