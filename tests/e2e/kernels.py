# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of notebooks that are copies of one process, which has imported what all of them need.

What HyperSpy, Torch and the widgets import takes four seconds of each kernel. As a program this
file makes the copies (arguments: PORT), or asks for one and lives as long as it (PORT and the file
of the connection), which is what Voila starts as a kernel.
"""

import importlib
import json
import os
import signal
import socket
import sys
import threading

#: ``python3`` would be the one that is installed.
NAME = "copied" if hasattr(os, "fork") else "python3"
HEAVY = ("torch", "hyperspy.api", "exspy.signals", "ipympl", "hyperspy_gui_ipywidgets")


def write_spec(data, port):
    """Put a kernel `NAME` into a folder of Jupyter's data."""
    folder = data / "kernels" / NAME
    folder.mkdir(parents=True)
    command = [sys.executable, __file__, str(port), "{connection_file}"]
    spec = {"argv": command, "display_name": NAME, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def serve(port):
    """Make a copy for whoever asks, until the process is ended."""
    # Who asks before the imports have ended waits.
    with socket.create_server(("127.0.0.1", port)) as listening:
        for name in HEAVY:
            importlib.import_module(name)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            asking = listening.accept()[0]
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                be_kernel(asking)
            asking.close()


def be_kernel(asking):
    """Be a kernel, until it is shut down or the process that asked for it has ended."""
    connection = asking.recv(4096).decode()

    def end_with_it():
        asking.recv(1)
        os._exit(0)

    threading.Thread(target=end_with_it, daemon=True).start()
    IPKernelApp.launch_instance(["-f", connection])
    os._exit(0)


def ask(port, connection):
    """Ask for a copy, and wait for its end."""
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(connection.encode())
        asking.recv(1)


if __name__ == "__main__":
    port, *connection = sys.argv[1:]
    if connection:
        ask(int(port), *connection)
    else:
        from ipykernel.kernelapp import IPKernelApp

        serve(int(port))
