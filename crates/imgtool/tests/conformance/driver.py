"""Runs command lines of imgtool, one after the other, in one process.

Reads a JSON object a line, {"args": [...], "passphrases": [...]}, and answers with one:
{"code": N, "out": hexadecimal digits, "err": text}. What a line does to files it does.
"""
import getpass
import io
import json
import sys
import traceback


class Sink(io.TextIOWrapper):
    """A stream that can be emptied; some of imgtool's functions keep the first one they see."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True, newline="\n")

    def take(self):
        self.flush()
        taken = self.buffer.getvalue()
        self.buffer.seek(0)
        self.buffer.truncate()
        return taken


answers = []
requests, replies = sys.stdin, sys.stdout
sys.stdin = io.StringIO("")
sys.stdout, sys.stderr = out, err = Sink(), Sink()
getpass.getpass = lambda question: answers.pop(0)

from cryptography.hazmat.primitives import serialization  # noqa: E402
from imgtool.main import imgtool  # noqa: E402

load, keys = serialization.load_pem_private_key, {}


def load_once(data, password, backend=None):
    """Reading an RSA key takes a tenth of a second: its primes are looked at."""
    if (data, password) not in keys:
        keys[data, password] = load(data, password, backend)
    return keys[data, password]


serialization.load_pem_private_key = load_once


def run(args):
    try:
        imgtool.main(args=args, prog_name="imgtool")
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for line in requests:
    request = json.loads(line)
    answers[:] = request["passphrases"]
    code = run(request["args"])
    reply = {"code": code, "out": out.take().hex(), "err": err.take().decode("utf-8", "replace")}
    print(json.dumps(reply), file=replies, flush=True)
