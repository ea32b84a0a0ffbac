"""Verifies a DSSE envelope with the cryptography package: dsse.py ENVELOPE PUBLIC_KEY FILE."""
import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

envelope = json.load(open(sys.argv[1]))
key = serialization.load_pem_public_key(open(sys.argv[2], "rb").read())
payload = base64.b64decode(envelope["payload"])
kind = envelope["payloadType"].encode()
message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
signature = base64.b64decode(envelope["signatures"][0]["sig"])
if isinstance(key, ed25519.Ed25519PublicKey):
    key.verify(signature, message)
elif isinstance(key, rsa.RSAPublicKey):
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.verify(signature, message, pss, hashes.SHA256())
else:
    digest = hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()
    key.verify(signature, message, ec.ECDSA(digest))
statement = json.loads(payload)
found = hashlib.sha256(open(sys.argv[3], "rb").read()).hexdigest()
assert statement["_type"] == "https://in-toto.io/Statement/v1"
assert statement["subject"][0]["digest"]["sha256"] == found
print(statement["predicate"]["version"])
