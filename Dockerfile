# The image of inferd with the ONNX backend. It needs nothing to write to but /tmp:
#   docker run --read-only --tmpfs /tmp -v "$PWD/models:/models:ro" -p 8000-8002:8000-8002 inferd
# BASE is any Debian-like image with Python 3.11 or newer and its venv module.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# cpu, or gpu for onnxruntime-gpu and NVIDIA's libraries.
ARG ONNXRUNTIME=cpu
WORKDIR /src
# The native gRPC transport is compiled against nghttp2, the kernel for numbers in JSON with g++.
# Their versions are Debian's.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc g++ libc6-dev libnghttp2-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
# pip installs into the environment from outside, so that the image has no pip of ours.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/inferd
COPY pyproject.toml README.md LICENSE ./
COPY inferd inferd
COPY kernels kernels
COPY plugins plugins
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels \
      ./kernels . ./plugins/inferd-backend-onnx \
 && /opt/build/bin/pip --python /opt/inferd/bin/python install --no-cache-dir \
      /wheels/inferd_kernels-*.whl /wheels/inferd-*.whl \
      "$(echo /wheels/inferd_backend_onnx-*.whl)[${ONNXRUNTIME}]" \
 && cp -L /usr/lib/*/libnghttp2.so.14 /opt/inferd/lib/

FROM ${BASE}
COPY --from=build /opt/inferd /opt/inferd
# ONNX Runtime reports its use to its makers unless told not to before it is imported.
ENV ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/inferd/bin:$PATH \
    LD_LIBRARY_PATH=/opt/inferd/lib \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000 8001 8002
ENTRYPOINT ["inferd"]
CMD ["serve", "--model-repository", "/models"]
