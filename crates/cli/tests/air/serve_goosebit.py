"""goosebit, with an image for every device that comes: PORT IMAGE VERSION FOLDER."""

import asyncio
import hashlib
import os
import pathlib
import sys

port, image, version = int(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
folder = pathlib.Path(sys.argv[4]).resolve()
# Read when it is imported.
os.environ["GOOSEBIT_DB_URI"] = f"sqlite://{folder}/goosebit.sqlite3"
os.environ["GOOSEBIT_ARTIFACTS_DIR"] = str(folder)
os.environ["GOOSEBIT_POLL_TIME"] = "00:00:01"

import goosebit.db
import uvicorn
from aerich import Command
from goosebit.db.config import TORTOISE_CONF
from goosebit.db.models import Hardware, Rollout, Software
from tortoise import Tortoise


async def prepare():
    migrations = pathlib.Path(goosebit.db.__file__).parent / "migrations"
    command = Command(tortoise_config=TORTOISE_CONF, app="models", location=str(migrations))
    await command.init()
    await command.upgrade(run_in_transaction=True)
    # What devices say that do not say what they are. Its upload takes archives of Linux updaters only.
    hardware, _ = await Hardware.get_or_create(model="default", revision="default")
    content = image.read_bytes()
    software = await Software.create(
        uri=image.as_uri(),
        size=len(content),
        version=version,
        hash=hashlib.sha1(content).hexdigest(),
    )
    await software.compatibility.add(hardware)
    await Rollout.create(name="all", feed="default", software=software)
    await Tortoise.close_connections()


asyncio.run(prepare())
uvicorn.run("goosebit:app", host="127.0.0.1", port=port, log_level="warning")
