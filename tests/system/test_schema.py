"""C3, C9: what goes over the bus is what the installed JSON Schema says, on a pair that lives through a switch."""

import json
import os
import time

import jsonschema
import pytest
import zmq
from lab.network import NODES
from lab.pair import other
from lab.sync import SyncLab

DAEMONS = ("heartbeatd", "arbiterd", "takeoverd", "superviserd", "syncd", "trapd", "monitord", "witnessd")
SCHEMA = os.path.join(os.environ.get("DUET_BIN", ""), "../proto/topics.schema.json")


def validators():
    """Topic pattern ("role", "path/NAME") -> validator."""
    with open(SCHEMA, encoding="utf-8") as file:
        definitions = json.load(file)["$defs"]
    return {d["title"]: jsonschema.Draft202012Validator(d) for d in definitions.values() if "title" in d}


def title_of(topic):
    area, _, name = topic.partition("/")
    return f"{area}/NAME" if name else area


def collect(sockets, seconds):
    end = time.monotonic() + seconds
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    while (left := end - time.monotonic()) > 0:
        for socket, _ in poller.poll(left * 1000):
            topic, body = socket.recv_multipart()
            yield topic.decode().lstrip("~"), json.loads(body)  # ~ leads a renewal


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def test_C3_C9_every_message_fits_the_schema(lab):
    sinks = os.path.join(lab.dir, "snmpd.conf")
    with open(sinks, "w") as file:
        file.write("informsink 127.0.0.1\n")
    lab.write_config(extra=lab.service() + 'hook "told" { on = active  command = {"/bin/true"} }\n' + lab.sync_set() +
                     'snmp { config = "%s" }\n' % sinks + 'monitor { metrics = "127.0.0.1:9572" }\nwitness { endpoint = {"http://127.0.0.1:9"} }\n')
    os.makedirs(lab.data("alpha", "files"))
    active = lab.start_pair()
    lab.wait_current()
    known, seen = validators(), {}
    context = zmq.Context()
    sockets = []
    for node in NODES:
        for daemon in DAEMONS:
            socket = context.socket(zmq.SUB)
            socket.subscribe("")
            socket.connect(f"ipc://{lab.run_dir(node)}/bus/{daemon}/pub")
            sockets.append(socket)
    try:
        for switch in (False, True):
            if switch:
                assert lab.duet(active, "switch").returncode == 0
            for topic, message in collect(sockets, 3):
                known[title_of(topic)].validate(message)
                seen.setdefault((message["node"], message["from"]), []).append((topic, message["seq"]))
    finally:
        context.destroy(0)
    assert len(seen) == len(NODES) * len(DAEMONS)
    for messages in seen.values():
        numbers = [seq for _, seq in messages]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # none lost, none twice
    topics = {title_of(topic) for messages in seen.values() for topic, _ in messages}
    missing = set(known) - topics - {"alarm/NAME", "reboot"} - {"profile", "gateway/NAME"}  # a healthy pair has neither; the client's
    assert not missing, f"nobody sent {missing}"
    assert lab.wait_settled() == other(active)
