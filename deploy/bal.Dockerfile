# The BAL. Built from the root of the repository: docker build -f deploy/bal.Dockerfile .
# Fabric's own commands, which join peers and approve the contract, are built from the go.mod that the tests use.
FROM golang:1.26-bookworm AS go

FROM python:3.11-slim-bookworm AS libraries
COPY requirements/stack.txt /build/requirements/stack.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r /build/requirements/stack.txt

FROM libraries AS commands
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev git ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=go /usr/local/go /usr/local/go
COPY bal /build/bal
COPY chaincode /build/chaincode
COPY chaincode_service /build/chaincode_service
COPY fabric-network /build/fabric-network
WORKDIR /build
RUN PATH=/usr/local/go/bin:$PATH XDG_CACHE_HOME=/cache /venv/bin/python -m bal stack install --only fabric

FROM python:3.11-slim-bookworm
COPY --from=libraries /venv /venv
# What an install makes is closed to others, so it is given to the user who runs here; Go's own cache stays behind.
COPY --from=commands --chown=1000:1000 /cache/bal /cache/bal
COPY bal /app/bal
COPY chaincode /app/chaincode
COPY chaincode_service /app/chaincode_service
COPY fabric-network /app/fabric-network
COPY kafka /app/kafka
COPY mosquitto /app/mosquitto
COPY scd /app/scd
COPY deploy/mosquitto.sh /app/deploy/mosquitto.sh
# A volume takes its owner from here when it is first mounted.
RUN useradd --uid 1000 --create-home bal && mkdir /stack /home/bal/home && chown bal:bal /stack /home/bal/home
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/cache BAL_HOME=/home/bal/home BAL_LOG__FORM=json
WORKDIR /app
USER bal
EXPOSE 8443
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import ssl, urllib.request as u; u.urlopen('https://127.0.0.1:8443/livez', timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["python", "-m", "bal"]
CMD ["run"]
