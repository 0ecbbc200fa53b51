"""The device: from camera frames to cases, and from cases to the broker."""
