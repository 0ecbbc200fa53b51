"""`agent acknowledge`: somebody at the station says that what brought the mode down is mended."""

import argparse
from pathlib import Path

from edge_agent import config, durable


def acknowledge(argv: list[str]) -> int:
    """`tankwatch agent acknowledge --config device.toml`; the running inspection takes it within a second."""
    parser = argparse.ArgumentParser("tankwatch agent acknowledge", description="What brought the mode down is mended.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    device = config.load(parser.parse_args(argv).config)
    durable.write(device.acknowledged_path, b"")
    print("acknowledged: the mode goes back to what is ordered, unless its cause is still there")
    return 0
