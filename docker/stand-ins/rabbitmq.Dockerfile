ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN groupadd --gid 999 rabbitmq \
  && useradd --uid 999 --gid 999 --home-dir /var/lib/rabbitmq --shell /bin/bash rabbitmq \
  && apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends rabbitmq-server \
  && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie \
  && install -d -o 999 -g 999 /var/lib/rabbitmq \
  && install -d /etc/rabbitmq/conf.d \
  && echo '[rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins \
  && : >/etc/rabbitmq/rabbitmq-env.conf
ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- LANG=C.UTF-8
CMD ["rabbitmq-server"]
