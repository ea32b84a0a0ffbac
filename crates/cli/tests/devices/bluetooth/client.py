"""smpclient, an SMP client that is not ours, over Bluetooth LE on a virtual controller.

usage: client.py PORT NAME groups
       client.py PORT NAME update IMAGE HASH
       client.py PORT NAME upload IMAGE

Prints what came of it, a line each.
"""

import asyncio
import sys
import time
from pathlib import Path

from bumble.hci import Address
from smpclient import SMPClient
from smpclient.generics import success
from smpclient.requests.enumeration_management import CountSupportedGroups, GroupDetails
from smpclient.requests.file_management import FileHashChecksum, FileStatus
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import (
    BootloaderInformationRead,
    DateTimeRead,
    DateTimeWrite,
    EchoWrite,
    MCUMgrParametersRead,
    MemoryPoolStatisticsRead,
    OSApplicationInfoRead,
    ResetWrite,
    TaskStatisticsRead,
)
from smpclient.requests.settings_management import ReadSetting, SaveSettings, WriteSetting
from smpclient.requests.shell_management import Execute
from smpclient.requests.statistics_management import GroupData, ListOfGroups
from smpclient.requests.zephyr_management import EraseStorage
from smpclient.transport.bumble import SMPBumbleTransport
from smpclient.transport.bumble.keystore import InMemory
from smpclient.transport.bumble.pairing import NoInputNoOutput


def client(port, name):
    transport = SMPBumbleTransport(
        hci=f"tcp-client:127.0.0.1:{port}",
        host_address=Address("C0:00:00:00:0F:01"),
        keystore=InMemory(),
        pair_on_connect=NoInputNoOutput(),
        settle_s=0.1,
    )
    return SMPClient(transport, name)


async def groups(smp):
    """One command of every group that smpclient knows, and more where they differ."""
    data = bytes(at % 251 for at in range(9000))
    asked = 0
    for request, expected in [
        (EchoWrite(d="hello " * 100), "hello"),
        (MCUMgrParametersRead(), "buf_size=2048"),
        (TaskStatisticsRead(), "tasks"),
        (MemoryPoolStatisticsRead(), ""),
        (DateTimeWrite(datetime="2026-11-21T12:00:00"), ""),
        (DateTimeRead(), "2026"),
        (OSApplicationInfoRead(format="a"), ""),
        (BootloaderInformationRead(), "MCUboot"),
        (ImageStatesRead(), "1.0.0"),
        (ListOfGroups(), "device"),
        (GroupData(name="device"), "boots"),
        (WriteSetting(name="name", val=b"bench"), ""),
        (ReadSetting(name="name"), "bench"),
        (SaveSettings(), ""),
        (Execute(argv=["version"]), "1.0.0"),
        (CountSupportedGroups(), "count"),
        (GroupDetails(groups=[8, 63]), "fs mgmt"),
        (ImageErase(), ""),
        (EraseStorage(), ""),
    ]:
        answer = await smp.request(request)
        assert success(answer) and expected in str(answer), f"{request}: {answer}"
        asked += 1
    async for _ in smp.upload_file(data, "/files/data.bin"):
        pass
    assert await smp.download_file("/files/data.bin") == data
    assert (await smp.request(FileStatus(name="/files/data.bin"))).len == len(data)
    assert success(await smp.request(FileHashChecksum(name="/files/data.bin", type="sha256")))
    print(f"{asked + 4} requests answered")


async def upload(smp, image):
    begin = time.monotonic()
    async for _ in smp.upload(image):
        pass
    seconds = time.monotonic() - begin
    print(f"{len(image) / seconds / 1024:.1f} KiB/s")


async def update(smp, image, image_hash):
    await upload(smp, image)
    answer = await smp.request(ImageStatesWrite(hash=bytes.fromhex(image_hash)))
    assert success(answer) and any(entry.pending for entry in answer.images), answer
    assert success(await smp.request(ResetWrite()))
    print("reset")


async def main(port, name, command, *arguments):
    smp = client(port, name)
    await smp.connect(10)
    print("connected", flush=True)
    match command, arguments:
        case "groups", ():
            await groups(smp)
        case "upload", (file,):
            await upload(smp, Path(file).read_bytes())
        case "update", (file, image_hash):
            await update(smp, Path(file).read_bytes(), image_hash)
    await smp.disconnect()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
