# Two images: `labelloop` (sync, backend, their workers, the command line) and `label-studio` (1.23.2 under gunicorn).
# Both are installed from the locks that the tests run on, hash-checked, the build tools of source packages included.
# The libraries and our own code are separate layers: a change of our code adds about 11 MB to what a server keeps.
# For a build that can be repeated to the byte name the base by its digest: PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin loop \
 && install -d -o loop -g loop /data /data/models /data/record

FROM base AS installer
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/venv
WORKDIR /build
COPY locks/bootstrap.lock ./
RUN python -m venv /uv \
 && /uv/bin/python -m pip --disable-pip-version-check --no-cache-dir -q install --require-hashes -r bootstrap.lock \
 && /uv/bin/uv venv -q --python /usr/local/bin/python3 /venv

FROM installer AS labelloop-libraries
COPY locks/runtime.lock ./
RUN /uv/bin/uv pip sync -q --require-hashes runtime.lock

FROM installer AS labelloop-code
COPY locks/requirements.lock locks/label-studio.lock locks/
COPY pyproject.toml README.md LICENSE ./
COPY labelloop labelloop
COPY console console
COPY sync sync
COPY backend backend
COPY labeling_configs labeling_configs
RUN /uv/bin/uv pip install -q --no-deps --build-constraints locks/requirements.lock --target /app .
COPY labeling_configs /app/labeling_configs
RUN python -m compileall -q /app

FROM installer AS label-studio-libraries
COPY locks/label-studio.lock ./
RUN /uv/bin/uv pip sync -q --require-hashes --build-constraints label-studio.lock label-studio.lock

FROM base AS label-studio
COPY --from=label-studio-libraries /venv /venv
COPY compose/start_label_studio.py /app/start_label_studio.py
ENV LABEL_STUDIO_BASE_DATA_DIR=/data
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "/app/start_label_studio.py"]
CMD ["serve"]
ARG TAG=unknown
LABEL org.opencontainers.image.title="Label Studio for labelloop" org.opencontainers.image.version="1.23.2-${TAG}"

# The last stage is the one that a plain `docker build .` makes.
FROM base AS labelloop
COPY --from=labelloop-libraries /venv /venv
COPY --from=labelloop-code /app /app
WORKDIR /app
# The wheel has the rooms inside the package: there Python finds sync, backend and console.
ENV PATH=/app/bin:$PATH PYTHONPATH=/app/labelloop/_rooms:/app LABELLOOP_DATA_DIR=/data LABELLOOP_LOOPS_DIR=/app/labeling_configs MPLCONFIGDIR=/tmp
USER 10001:10001
EXPOSE 8601 8602
ENTRYPOINT []
CMD ["labelloop", "--help"]
ARG TAG=unknown
LABEL org.opencontainers.image.title="labelloop" org.opencontainers.image.version="${TAG}"
