# The contract as a service. Built from the root of the repository: docker build -f deploy/chaincode.Dockerfile .
FROM python:3.11-slim-bookworm AS libraries
COPY requirements/stack.txt /build/requirements/stack.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r /build/requirements/stack.txt

FROM python:3.11-slim-bookworm
COPY --from=libraries /venv /venv
COPY chaincode /app/chaincode
COPY chaincode_service /app/chaincode_service
RUN useradd --uid 1000 --no-create-home chaincode
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER chaincode
HEALTHCHECK --interval=10s --timeout=8s --start-period=20s --retries=6 \
    CMD ["python", "-P", "-m", "chaincode_service", "--health"]
ENTRYPOINT ["python", "-m", "chaincode_service"]
