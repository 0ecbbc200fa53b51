"""The broker of cloud.toml -> a paho client with its name, password and certificates; connecting is the caller's."""

from typing import Any

import paho.mqtt.client as mqtt

from cloud_sync import config as cloud_config
from cloud_sync.config import BrokerConfig
from edge_agent import dead_peer
from edge_agent.errors import LinkError


def make(broker: BrokerConfig, client_id: str, *, keep_session: bool, manual_ack: bool = False) -> mqtt.Client:
    """`keep_session`: the broker keeps what comes while we are away. Raises ConfigError or LinkError."""
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=not keep_session,
        manual_ack=manual_ack,
        reconnect_on_failure=False,
    )
    client.on_socket_open = _opened
    if broker.username is not None:
        client.username_pw_set(broker.username, cloud_config.secret(broker.password_env))
    if broker.ca is not None:
        try:
            client.tls_set(ca_certs=broker.ca, certfile=broker.cert, keyfile=broker.key)
        except (OSError, ValueError) as error:
            raise LinkError(f"TLS files of the broker are not usable ({error}): check ca, cert and key") from error
    return client


def _opened(_client: mqtt.Client, _data: object, connection: Any) -> None:
    dead_peer.notice(connection)
