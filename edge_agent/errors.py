"""Whose fault it is. Each message states fact, limit and cure; anything else that is raised is our bug."""


class TankwatchError(Exception):
    """Something outside the code is wrong; the command line prints the message in one line and ends with 1."""


class ConfigError(TankwatchError):
    """A file or an option that a person wrote cannot be used."""


class StationError(TankwatchError):
    """The camera, the markers, the recording or the station profile is at fault."""


class ModelError(TankwatchError):
    """A bundle or a net in it is damaged, hostile or does not fit."""


class LinkError(TankwatchError):
    """The broker, the network or the cloud is at fault."""


class StoreError(TankwatchError):
    """The disk, the outbox or the spool is at fault."""
