"""A broker that asks for certificates -> whether it takes this device's, by the handshake alone.

A second MQTT connection with the device's certificate would have the device's client id and throw the uplink off.
"""

import socket
import ssl

from edge_agent.config import BrokerConfig
from edge_agent.finding import Finding

LISTEN_S = 0.5
"""TLS 1.3 says after the handshake whether a certificate was taken; a broker that did so waits for us in silence."""


def handshake(broker: BrokerConfig, patience_s: float) -> Finding:
    """The finding. Raises OSError where nobody answers."""
    place = f"{broker.host}:{broker.port}"
    context = ssl.create_default_context(cafile=broker.ca)
    context.load_cert_chain(broker.cert or "", broker.key)
    try:
        with (
            socket.create_connection((broker.host, broker.port), patience_s) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as tls,
        ):
            tls.settimeout(LISTEN_S)
            is_taken = _is_silent(tls)
    except ssl.SSLCertVerificationError as error:
        cure = "bring the ca.crt that 'tankwatch provision' made, and check broker.host"
        return Finding("broker", "fault", f"{place} is not the broker that is trusted: {error.verify_message}", cure)
    except (ssl.SSLError, ConnectionError) as error:
        return _refused(place, str(error))
    return Finding("broker", "ok", f"{place} takes the certificate") if is_taken else _refused(place, "it hangs up")


def _is_silent(tls: ssl.SSLSocket) -> bool:
    try:
        return bool(tls.recv(1))
    except TimeoutError:
        return True


def _refused(place: str, why: str) -> Finding:
    cure = "it may have ended or been revoked: 'tankwatch provision STATION' makes a new one"
    return Finding("broker", "fault", f"{place} refuses the certificate ({why})", cure)
