"""A frame loop that hands cases to somebody else's publisher, one at a time, and writes down what came of each.

Runs under the peer's own interpreter, so it stands alone: nothing of this project, and of others only what it measures.
Killed and started again, it goes on with the first case that it has not handed over.
"""

import base64
import json
import os
import sys
import time


def main(peer: str, port: int, lines: str, journal: str, pace_s: float) -> None:
    """`peer`: a key of PEERS. `lines`: a case a line, `id payload` (base64). `journal`: a JSON object a line.

    The loop runs in a child, whose number is in `journal`.pid: killed, it is there again at once, however long its
    imports take.
    """
    make = PEERS[peer]()
    while True:
        child = os.fork()
        if not child:
            with open(journal + ".pid", "w") as file:
                file.write(str(os.getpid()))
            _frame_loop(make(port), lines, journal, pace_s)
            os._exit(0)
        os.waitpid(child, 0)


def _frame_loop(publish, lines: str, journal: str, pace_s: float) -> None:
    done = _handed_over(journal)
    with open(lines) as file, open(journal, "ab") as out:
        out.write(b"\n")  # what a kill cut short was not handed over
        out.flush()
        started_s, first = time.monotonic(), len(done)
        for number, line in enumerate(file):
            case_id, payload = line.split()
            if case_id in done:
                continue
            time.sleep(max(0.0, started_s + (number - first) * pace_s - time.monotonic()))
            began_s = time.perf_counter()
            told = publish(base64.b64decode(payload))
            took_ms = (time.perf_counter() - began_s) * 1000
            out.write(json.dumps({"id": case_id, "ms": round(took_ms, 2), "told": told}).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())
    time.sleep(3600)  # a camera's loop never ends; whoever started it ends it


def plain_paho():
    """As the first page of any tutorial has it, but for a connect that does not fail where no broker is there yet."""
    import paho.mqtt.client as mqtt

    def make(port: int):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.connect_async("127.0.0.1", port)
        client.loop_start()

        def publish(payload: bytes) -> bool:
            client.publish(TOPIC, payload, qos=1)
            return False

        return publish

    return make


def roboflow(**settings: object):
    """The class of the sink itself; what the workflow engine around it would add is no matter of delivery."""
    from roboflow_workflows.enterprise_blocks.sinks.mqtt_writer.v2 import MQTTWriterSinkBlockV2

    def make(port: int):
        block = MQTTWriterSinkBlockV2()

        def publish(payload: bytes) -> bool:
            out = block.run(host="127.0.0.1", port=port, topic=TOPIC, message=payload.decode(), **settings)
            return bool(out["error_status"])

        return publish

    return make


def roboflow_best():
    """With the settings that its own documents give for never waiting on a broker."""
    return roboflow(qos=1, fire_and_forget=True)


TOPIC = "tankwatch/v1/plant/TANK1/case"
PEERS = {"paho": plain_paho, "roboflow": roboflow, "roboflow_best": roboflow_best}


def _handed_over(journal: str) -> set[str]:
    if not os.path.exists(journal):
        return set()
    with open(journal, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    return {json.loads(line)["id"] for line in lines if line.startswith(b"{") and line.endswith(b"}")}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
