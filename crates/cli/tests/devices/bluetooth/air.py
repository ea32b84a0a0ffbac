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

from bumble import ll
from bumble.controller import Controller
from bumble.hci import (
    HCI_COMMAND_STATUS_PENDING,
    HCI_Encryption_Change_Event,
    HCI_ErrorCode,
    HCI_LE_Long_Term_Key_Request_Event,
    HCI_StatusAndConnectionHandleReturnParameters,
    LeFeatureMask,
)
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
    """A controller that does as real ones do where bumble's is content with less: it forgets everything
    when it is reset, asks the peripheral's host for the key of a link that is to be encrypted, and gives
    the link up if it is not that of the central's."""

    # What it does not carry out is not promised; a packet over the air holds more than 27 bytes.
    le_features = Controller.le_features & ~(LeFeatureMask.LE_2M_PHY | LeFeatureMask.LE_CODED_PHY)
    le_acl_data_packet_length = 251

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.keys = {}

    def ends(self, connection):
        """Both ends of a connection, with their controllers."""
        names = {connection.self_address, connection.peer_address}
        for radio in self.link.controllers:
            for end in list(radio.le_connections.values()):
                if {end.self_address, end.peer_address} == names:
                    yield radio, end

    def on_hci_le_enable_encryption_command(self, command):
        connection = self.find_connection_by_handle(command.connection_handle)
        self._send_hci_command_status(HCI_COMMAND_STATUS_PENDING, command.op_code)
        request = ll.EncReq(
            rand=command.random_number,
            ediv=command.encrypted_diversifier,
            ltk=command.long_term_key,
        )
        connection.send_ll_control_pdu(request)

    def on_ll_control_pdu(self, sender_address, packet):
        connection = self.le_connections.get(sender_address)
        if connection is None or not isinstance(packet, ll.EncReq):
            return super().on_ll_control_pdu(sender_address, packet)
        self.keys[connection.handle] = packet.ltk
        question = HCI_LE_Long_Term_Key_Request_Event(
            connection_handle=connection.handle,
            random_number=packet.rand,
            encryption_diversifier=packet.ediv,
        )
        self.send_hci_packet(question)

    def on_hci_le_long_term_key_request_reply_command(self, command):
        return self.encrypt(command, command.long_term_key)

    def on_hci_le_long_term_key_request_negative_reply_command(self, command):
        return self.encrypt(command, None)

    def encrypt(self, command, key):
        handle = command.connection_handle
        connection = self.find_connection_by_handle(handle)
        wanted = self.keys.pop(handle, None)
        # After the answer to the command.
        asyncio.get_running_loop().call_soon(self.encrypted, connection, key, wanted)
        return HCI_StatusAndConnectionHandleReturnParameters(
            status=HCI_ErrorCode.SUCCESS, connection_handle=handle
        )

    def encrypted(self, connection, key, wanted):
        for radio, end in self.ends(connection):
            if key is None:
                if radio is not self:
                    missing = HCI_Encryption_Change_Event(
                        status=HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR,
                        connection_handle=end.handle,
                        encryption_enabled=0,
                    )
                    radio.send_hci_packet(missing)
            elif key == wanted:
                radio.on_le_encrypted(end)
            else:
                reason = HCI_ErrorCode.CONNECTION_TERMINATED_DUE_TO_MIC_FAILURE_ERROR
                radio.on_le_disconnected(end, reason)

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
