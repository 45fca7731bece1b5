#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What people have run since 2016, written anew for Python 3 to be measured beside vpcflowd: it listens,
reads one connection after another to its end, takes what came for a CloudWatch Logs message, splits
each record at its spaces, and prints a line for FlowTraq's ftsq.

    listener2016.py READY_FILE [--joined]

Comes in: uncompressed messages, one a connection. Goes out: ftsq lines, to standard output. It reads
1 KiB at a time, each appended to what it has, and prints line by line; with --joined, as one would
write it for speed, it reads 64 KiB at a time, joins them once, and writes all lines of a message at
once. It knows version 2 only, has no limits, and trusts whoever connects.
"""
import json
import os
import socket
import sys

EXPORTER = "127.0.0.1"


def read_appended(peer):
    text = b""
    while True:
        piece = peer.recv(1024)
        if not piece:
            return text
        text += piece


def read_joined(peer):
    pieces = []
    while True:
        piece = peer.recv(65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def line(record):
    (_, _, _, source, destination, source_port, destination_port, protocol, packets, octets, start,
     end, _, _) = record.split()
    return (f"{source},{source_port},{destination},{destination_port},{protocol},{packets},{octets},"
            f"0,0,{start},{end},{EXPORTER},\"unknown\"")


def lines(text):
    for event in json.loads(text)["logEvents"]:
        if event["message"].endswith(" OK"):
            yield line(event["message"])


def print_each(text):
    for made in lines(text):
        print(made)


def print_joined(text):
    sys.stdout.write("\n".join(lines(text)) + "\n")


def main():
    joined = sys.argv[2:] == ["--joined"]
    read, give = (read_joined, print_joined) if joined else (read_appended, print_each)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with open(sys.argv[1] + ".new", "w", encoding="ascii") as ready:
            ready.write(f"127.0.0.1:{server.getsockname()[1]}\n")
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        while True:
            peer, _ = server.accept()
            with peer:
                give(read(peer))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
