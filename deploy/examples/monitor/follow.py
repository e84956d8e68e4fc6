#!/usr/bin/python3
"""Follows a pair of gateways through the monitor endpoint, one line for each message: TOPIC JSON.

usage: follow.py ENDPOINT MONITOR.key CLIENT.key_secret [TOPIC...]     (Debian: python3-zmq)
e.g.:  follow.py tcp://192.0.2.1:5572 monitor.key grafana.key_secret gate/alpha/role gate/alpha/alarm/
"""
import sys

import zmq
import zmq.auth

endpoint, server, client, *topics = sys.argv[1:]
tool = zmq.Context().socket(zmq.SUB)
tool.curve_serverkey = zmq.auth.load_certificate(server)[0]
tool.curve_publickey, tool.curve_secretkey = zmq.auth.load_certificate(client)
tool.heartbeat_ivl, tool.heartbeat_timeout = 2000, 6000  # notices a gateway that is gone
for topic in topics or [""]:
    tool.subscribe(topic)
tool.connect(endpoint)
while True:
    topic, message = tool.recv_multipart()  # the whole state comes first, then what changes, as it does
    print(topic.decode(), message.decode(), flush=True)
