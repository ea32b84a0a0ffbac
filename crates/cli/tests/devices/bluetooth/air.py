"""Virtual Bluetooth LE controllers on one link, each behind a TCP port that speaks HCI (H4).

usage: air.py NUMBER

Prints their ports in a line, and ends with its standard input, on which it takes commands:

    cut [N]     all connections are lost: at once, or when N more packets of data have been sent
    lose N      the Nth packet of data from now is lost, which a real link never lets happen
    tell N      a line is printed when N more packets of data have been sent
"""

import asyncio
import socket
import sys

from bumble.controller import Controller
from bumble.hci import HCI_ErrorCode, LeFeatureMask
from bumble.link import LocalLink
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket


class Air(LocalLink):
    """A link that can be disturbed."""

    def __init__(self):
        super().__init__()
        self.until_cut = None
        self.until_lost = None
        self.until_told = None

    def send_acl_data(self, sender, destination, transport, data):
        if self.until_lost is not None:
            self.until_lost -= 1
            if self.until_lost == 0:
                self.until_lost = None
                return
        if self.until_told is not None:
            self.until_told -= 1
            if self.until_told == 0:
                self.until_told = None
                print("there", flush=True)
        if self.until_cut is not None:
            self.until_cut -= 1
            if self.until_cut == 0:
                self.cut()
                return
        super().send_acl_data(sender, destination, transport, data)

    def cut(self):
        self.until_cut = None
        for radio in self.controllers:
            radio.lose_connections(HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def command(self, line):
        match line.split():
            case ["cut"]:
                self.cut()
            case ["cut", packets]:
                self.until_cut = int(packets)
            case ["lose", packet]:
                self.until_lost = int(packet)
            case ["tell", packets]:
                self.until_told = int(packets)
            case _:
                print(f"no command: {line}", file=sys.stderr, flush=True)


class Radio(Controller):
    """A controller that forgets everything when it is reset, as real ones do."""

    # What it does not carry out is not promised; a packet over the air holds more than 27 bytes.
    le_features = Controller.le_features & ~(LeFeatureMask.LE_2M_PHY | LeFeatureMask.LE_CODED_PHY)
    le_acl_data_packet_length = 251

    def lose_connections(self, reason):
        for connection in list(self.le_connections.values()):
            self.on_le_disconnected(connection, reason)

    def on_hci_reset_command(self, command):
        lost = [connection.self_address for connection in self.le_connections.values()]
        self.le_connections.clear()
        self.le_scan_enable = False
        self.pending_le_connection = None
        self.le_legacy_advertiser.stop()
        for radio in self.link.controllers:
            for connection in list(radio.le_connections.values()):
                if connection.peer_address in lost:
                    radio.on_le_disconnected(connection, HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        return super().on_hci_reset_command(command)


async def main(number):
    air = Air()
    radios, ports = [], []
    for index in range(number):
        port = socket.create_server(("127.0.0.1", 0))
        ports.append(str(port.getsockname()[1]))
        transport = await open_tcp_server_transport_with_socket(port)
        address = f"C0:00:00:00:00:{index + 1:02X}"
        radio = Radio(f"radio {index}", transport.source, transport.sink, air, address)
        radios.append((transport, radio))
    print(" ".join(ports), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        air.command(line)


asyncio.run(main(int(sys.argv[1])))
