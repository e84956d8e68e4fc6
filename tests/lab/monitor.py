"""The monitor endpoint of the laboratory's pair: its keys, and tools on the client's host that listen to it."""

import json
import os
import subprocess
import threading

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/examples/monitor")
PORT, METRICS = 5572, "127.0.0.1:9572"


def make_keys(lab):
    """The monitor's key, and the directory of clients with one in it: `tool`."""
    os.mkdir(clients(lab))
    for words in (["--monitor", monitor_key(lab)], ["--client", os.path.join(lab.dir, "tool")]):
        subprocess.run([os.path.join(lab.bin, "duet"), "keygen", *words], check=True, capture_output=True, timeout=10)
    admit(lab, "tool")


def clients(lab):
    return os.path.join(lab.dir, "clients")


def monitor_key(lab):
    return os.path.join(lab.dir, "monitor")


def admit(lab, name):
    with open(os.path.join(lab.dir, name + ".key")) as key, open(os.path.join(clients(lab), name + ".key"), "w") as out:
        out.write(key.read())


def section(lab, metrics=METRICS, listen="tcp://*:%d" % PORT):
    """The section of the configuration."""
    lines = ['monitor {', '    listen = "%s"' % listen, '    key-file = "%s.key_secret"' % monitor_key(lab),
             '    clients = "%s"' % clients(lab)]
    return "\n".join(lines + (['    metrics = "%s"' % metrics] if metrics else []) + ["}"]) + "\n"


class Tool:
    """deploy/examples/monitor/follow.py on the client's host: all that it has printed."""

    def __init__(self, lab, address, *topics, client="tool", server=None, port=PORT):
        words = ["/usr/bin/python3", os.path.join(EXAMPLES, "follow.py"), "tcp://%s:%d" % (address, port),
                 (server or monitor_key(lab)) + ".key", os.path.join(lab.dir, client + ".key_secret"), *topics]
        self.process = subprocess.Popen(lab.network.exec("client", *words), stdout=subprocess.PIPE, text=True)
        self.messages = []  # (topic, message), in the order of arrival
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        lab.tools.append(self)

    def _read(self):
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break  # it was ended in the middle of it
            topic, _, message = line.partition(" ")
            self.messages.append((topic, json.loads(message)))

    def last(self):
        """The latest message by topic."""
        return dict(self.messages)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


def curl(lab, node, path="/metrics", *words):
    """What a node's endpoint answers on its own host: the finished process."""
    url = "http://%s%s" % (METRICS, path)
    return subprocess.run(lab.network.exec(node, "curl", "-sS", "--max-time", "10", *words, url), capture_output=True,
                          text=True, timeout=20)


def samples(text):
    """Prometheus text as {name: [(labels, value)]}."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        head, _, value = line.rpartition(" ")
        name, _, labels = head.partition("{")
        pairs = [pair.split("=", 1) for pair in labels.rstrip("}").split(",") if pair]
        found.setdefault(name, []).append(({key: text.strip('"') for key, text in pairs}, float(value)))
    return found
