"""What `nc -N HOST PORT` does, where there is no nc: sends standard input, and waits until the other side closes."""

import shutil
import socket
import sys

with socket.create_connection((sys.argv[-2], int(sys.argv[-1]))) as connection:
    with connection.makefile("wb") as outlet:
        shutil.copyfileobj(sys.stdin.buffer, outlet)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
