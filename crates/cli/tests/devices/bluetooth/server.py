"""A peripheral that serves SMP and is not ours, on a virtual controller: bumble's GATT, and just
enough of the groups to be updated.

usage: server.py PORT FILE HASH

Takes an image, writes it to FILE when it is whole, lists it with the hash that it was told, and goes on until its standard input ends.
"""

import asyncio
import struct
import sys
from pathlib import Path

import cbor2
from bumble.core import UUID, AdvertisingData
from bumble.device import Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport

SERVICE = UUID("8D53DC1D-1DB7-4CD3-868B-8A527460AA84")
CHARACTERISTIC = UUID("DA2E7828-FBCE-4E01-AE9E-261174997C48")
NAME = "foreign"


class Server:
    def __init__(self, file, image_hash):
        self.file = Path(file)
        self.image_hash = bytes.fromhex(image_hash)
        self.image = bytearray()
        self.length = None

    def answer(self, group, command, fields):
        match group, command:
            case 0, 0:
                return {"r": fields["d"]}
            case 0, 6:
                return {"buf_size": 1024, "buf_count": 4}
            case 1, 0:
                return {"images": self.images(), "splitStatus": 0}
            case 1, 1:
                return self.upload(fields)
            case _:
                return {"rc": 8}

    def images(self):
        if self.length is None or len(self.image) < self.length:
            return []
        return [{"slot": 1, "version": "1.1.0", "hash": self.image_hash, "bootable": True}]

    def upload(self, fields):
        if fields["off"] == 0:
            self.length, self.image = fields["len"], bytearray()
        if self.length is not None and fields["off"] == len(self.image):
            self.image += fields["data"]
            if len(self.image) == self.length:
                self.file.write_bytes(self.image)
        return {"off": len(self.image)}


async def main(port, file, image_hash):
    transport = await open_transport(f"tcp-client:127.0.0.1:{port}")
    address = Address("C0:00:00:00:0F:03")
    device = Device.with_hci(NAME, address, transport.source, transport.sink)
    device.pairing_config_factory = lambda _: PairingConfig(
        bonding=True, delegate=PairingDelegate(PairingDelegate.NO_OUTPUT_NO_INPUT)
    )
    server, waiting = Server(file, image_hash), bytearray()

    def written(connection, fragment):
        waiting.extend(fragment)
        while len(waiting) >= 8:
            op, _, length, group, sequence, command = struct.unpack(">BBHHBB", waiting[:8])
            if len(waiting) < 8 + length:
                return
            fields = cbor2.loads(bytes(waiting[8 : 8 + length]))
            del waiting[: 8 + length]
            payload = cbor2.dumps(server.answer(group, command, fields))
            header = struct.pack(">BBHHBB", op + 1, 0, len(payload), group, sequence, command)
            answers.put_nowait((connection, header + payload))

    characteristic = Characteristic(
        CHARACTERISTIC,
        Characteristic.Properties.WRITE_WITHOUT_RESPONSE | Characteristic.Properties.NOTIFY,
        Characteristic.WRITEABLE | Characteristic.WRITE_REQUIRES_ENCRYPTION,
        CharacteristicValue(write=written),
    )
    answers = asyncio.Queue()
    device.add_service(Service(SERVICE, [characteristic]))
    await device.power_on()
    device.advertising_data = bytes(
        AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, NAME.encode())])
    )
    await device.start_advertising(auto_restart=True)
    print("ready", flush=True)

    async def answer():
        while True:
            connection, whole = await answers.get()
            size = connection.att_mtu - 3
            for at in range(0, len(whole), size):
                await device.notify_subscriber(
                    connection, characteristic, whole[at : at + size]
                )

    task = asyncio.create_task(answer())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()


asyncio.run(main(*sys.argv[1:]))
