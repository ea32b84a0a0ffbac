"""A central that writes whatever it likes to the SMP characteristic, on a virtual controller.

usage: raw.py PORT NAME unpaired|fragments

Prints what came of it, a line each.
"""

import asyncio
import struct
import sys

from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData
from bumble.device import Device, Peer
from bumble.hci import Address
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport

SERVICE = UUID("8D53DC1D-1DB7-4CD3-868B-8A527460AA84")
CHARACTERISTIC = UUID("DA2E7828-FBCE-4E01-AE9E-261174997C48")


def message(sequence, payload, length=None, op=0x0A):
    """An echo request."""
    length = len(payload) if length is None else length
    return struct.pack(">BBHHBB", op, 0, length, 0, sequence, 0) + payload


def echo(sequence, text):
    """{"d": text}"""
    return message(sequence, b"\xa1\x61d\x79" + struct.pack(">H", len(text)) + text.encode())


async def connect(port, name):
    transport = await open_transport(f"tcp-client:127.0.0.1:{port}")
    address = Address("C0:00:00:00:0F:02")
    device = Device.with_hci("raw", address, transport.source, transport.sink)
    device.pairing_config_factory = lambda _: PairingConfig(
        bonding=True, delegate=PairingDelegate(PairingDelegate.NO_OUTPUT_NO_INPUT)
    )
    await device.power_on()
    found = asyncio.get_running_loop().create_future()

    def heard(advertisement):
        names = advertisement.data.get_all(AdvertisingData.COMPLETE_LOCAL_NAME)
        if name in names and not found.done():
            found.set_result(advertisement.address)

    device.on("advertisement", heard)
    await device.start_scanning()
    target = await asyncio.wait_for(found, 10)
    await device.stop_scanning()
    connection = await device.connect(target)
    peer = Peer(connection)
    await peer.request_mtu(247)
    await peer.discover_service(SERVICE)
    for service in peer.services:
        await service.discover_characteristics()
        for characteristic in service.characteristics:
            await characteristic.discover_descriptors()
    return connection, peer.get_characteristics_by_uuid(CHARACTERISTIC)[0]


class Conversation:
    def __init__(self, characteristic):
        self.characteristic = characteristic
        self.answers = asyncio.Queue()

    async def write(self, *fragments):
        for fragment in fragments:
            await self.characteristic.write_value(fragment, with_response=False)

    async def answer(self):
        whole = b""
        while len(whole) < 8 or len(whole) < 8 + struct.unpack(">H", whole[2:4])[0]:
            whole += await asyncio.wait_for(self.answers.get(), 5)
        return whole

    async def silence(self):
        await asyncio.sleep(0.3)
        assert self.answers.empty(), self.answers.get_nowait()


async def unpaired(connection, characteristic):
    talk = Conversation(characteristic)
    try:
        await characteristic.subscribe(talk.answers.put_nowait)
        print("subscribed")
    except ATT_Error as error:
        print(f"refused: {error.error_code:#04x}")
    await talk.write(echo(1, "hello"))
    await talk.silence()
    print("silent")


async def fragments(connection, characteristic):
    await connection.pair()
    talk = Conversation(characteristic)
    await characteristic.subscribe(talk.answers.put_nowait)
    sequence, times = 0, 0

    def next_echo():
        nonlocal sequence
        sequence += 1
        whole = echo(sequence, "x" * 900)
        return [whole[at : at + 244] for at in range(0, len(whole), 244)]

    async def works():
        nonlocal times
        times += 1
        await talk.write(*next_echo())
        answer = await talk.answer()
        assert answer[6] == sequence and b"x" * 900 in answer, answer

    await works()
    # Too long for any buffer: told at once, and the rest is passed over.
    long = message(90, bytes(60000))
    await talk.write(long[:244])
    answer = await talk.answer()
    assert answer[6] == 90 and answer.endswith(b"\x62rc\x09\xff"), answer
    await talk.write(*[long[at : at + 244] for at in range(244, len(long), 244)])
    await works()
    # In the wrong order, with a gap, begun twice, and no messages at all.
    await talk.write(*reversed(next_echo()))
    await talk.silence()
    await works()
    pieces = next_echo()
    await talk.write(pieces[0], pieces[1], pieces[3])
    await talk.silence()
    await works()
    pieces = next_echo()
    await talk.write(pieces[0], pieces[1], *pieces)
    assert (await talk.answer())[6] == sequence
    await talk.write(b"", b"\xff", b"\xff" * 244, bytes(7), message(92, b"", op=0x07))
    answer = await talk.answer()
    assert answer[6] == 92 and answer.endswith(b"\x62rc\x08\xff"), answer
    await works()
    # Two requests in one write.
    await talk.write(echo(93, "a") + echo(94, "b"))
    assert (await talk.answer())[6] == 93
    assert (await talk.answer())[6] == 94
    print(f"{times} times all right")


async def main(port, name, command):
    connection, characteristic = await connect(port, name)
    await {"unpaired": unpaired, "fragments": fragments}[command](connection, characteristic)
    await connection.disconnect()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
