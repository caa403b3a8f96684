ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends prometheus \
  && rm -rf /var/lib/apt/lists/* \
  && install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["prometheus"]
