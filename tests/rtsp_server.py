"""An RTSP server for tests (GStreamer's): rtsp_server.py CLIP.mp4 PORT [USER PASSWORD]. Streams CLIP at /tank.

Runs under the system's Python, which alone has Debian's bindings. Each client sees the clip from its beginning, in real
time, as it was encoded. One line on stdout says that it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PATH = "/tank"
PARTS = ("filesrc", "qtdemux", "rtph264pay", "rtpbin")


def serve(clip: str, port: str, user: str = "", password: str = "") -> None:
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f'( filesrc location="{clip}" ! qtdemux ! rtph264pay name=pay0 pt=96 config-interval=-1 )')
    if user:
        _ask_for_password(server, factory, user, password)
    server.get_mount_points().add_factory(PATH, factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


def _ask_for_password(server, factory, user: str, password: str) -> None:
    auth, token, allowed = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken(), GstRtspServer.RTSPPermissions()
    token.set_string("media.factory.role", "camera")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    for permission in ("media.factory.access", "media.factory.construct"):
        allowed.add_permission_for_role("camera", permission, True)
    factory.set_permissions(allowed)
    server.set_auth(auth)


if __name__ == "__main__":
    Gst.init(None)
    missing = [part for part in PARTS if not Gst.ElementFactory.find(part)]
    if missing:
        sys.exit(
            f"GStreamer lacks {', '.join(missing)}: install gstreamer1.0-plugins-base and gstreamer1.0-plugins-good"
        )
    if sys.argv[1:]:
        serve(*sys.argv[1:])
