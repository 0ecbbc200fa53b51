"""Setting a station up: markers, station profile, and the twin that stands in for a real tank."""
