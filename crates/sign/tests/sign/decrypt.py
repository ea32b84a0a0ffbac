"""Decrypts an MCUboot image with Python's `cryptography`, by the format's description alone.

usage: decrypt.py KEY IMAGE    writes the image with its body in plaintext to standard output
"""

import base64
import struct
import sys

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap


def ctr(key, data):
    cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).decryptor()
    return cipher.update(data) + cipher.finalize()


def ecies(shared, hash, tag_len, sealed, key_len):
    tag, wrapped = sealed[:tag_len], sealed[tag_len:]
    assert len(wrapped) == key_len, "length of the wrapped key"
    okm = HKDF(
        algorithm=hash, length=key_len + tag_len, salt=bytes(tag_len), info=b"MCUBoot_ECIES_v1"
    ).derive(shared)
    mac = hmac.HMAC(okm[key_len:], hash)
    mac.update(wrapped)
    mac.verify(tag)
    return ctr(okm[:key_len], wrapped)


def content_key(private, kind, payload, key_len):
    if kind == 0x30:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        key = private.decrypt(payload, oaep)
    elif kind == 0x31:
        key = aes_key_unwrap(private, payload)
    elif kind == 0x32:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), payload[:65])
        shared = private.exchange(ec.ECDH(), point)
        key = ecies(shared, hashes.SHA256(), 32, payload[65:], key_len)
    else:
        shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(payload[:32]))
        hash, tag_len = {0x33: (hashes.SHA256(), 32), 0x34: (hashes.SHA512(), 64)}[kind]
        key = ecies(shared, hash, tag_len, payload[32:], key_len)
    assert len(key) == key_len, "length of the content key"
    return key


def encryption_tlv(image, at):
    magic, total = struct.unpack_from("<HH", image, at)
    if magic == 0x6908:
        at += total
        magic, total = struct.unpack_from("<HH", image, at)
    assert magic == 0x6907, "TLV magic"
    end, at = at + total, at + 4
    while at < end:
        kind, size = struct.unpack_from("<HH", image, at)
        if 0x30 <= kind <= 0x34:
            return kind, image[at + 4 : at + 4 + size]
        at += 4 + size
    raise SystemExit("no encryption TLV")


def main(key_file, image_file):
    text = open(key_file, "rb").read()
    if b"-----BEGIN" in text:
        private = serialization.load_pem_private_key(text, None)
    else:
        private = base64.b64decode(text)
    image = open(image_file, "rb").read()
    magic, _, header_size, _, size, flags = struct.unpack_from("<IIHHII", image, 0)
    assert magic == 0x96F3B83D, "image magic"
    key_len = {0x4: 16, 0x8: 32}[flags & 0xC]
    end = header_size + size
    key = content_key(private, *encryption_tlv(image, end), key_len)
    sys.stdout.buffer.write(image[:header_size] + ctr(key, image[header_size:end]) + image[end:])


main(*sys.argv[1:])
