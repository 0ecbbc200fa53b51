"""cloud.toml -> the policy that it names, or the one that ships, with the hash of its bytes."""

from pathlib import Path

from cloud_sync import policy
from cloud_sync.config import CloudConfig
from cloud_sync.policy import Policy
from edge_agent.errors import ConfigError
from edge_agent.wire import sha256_of

SHIPPED = Path(__file__).with_name("policy.toml")


def load(config: CloudConfig) -> tuple[Policy, str]:
    """The policy and the hash of its file. Raises ConfigError naming the file and its fault."""
    path = SHIPPED if config.policy is None else Path(config.policy)
    try:
        data = path.read_bytes()
        return policy.decode(data), sha256_of(data)
    except OSError as error:
        raise ConfigError(
            f"policy {path} cannot be read ({error.strerror}): put it there or take `policy` out of cloud.toml"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
