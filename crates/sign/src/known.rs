//! Keys whose private halves are published: samples, defaults and test keys of well-known
//! projects. An image signed with one proves nothing, anybody can make it; and anybody can read one
//! that is encrypted for one.

/// A published key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Its name.
    pub name: &'static str,
    /// Where it is published.
    pub origin: &'static str,
    /// How its SHA-256, SHA-384 and SHA-512 begin: 16 bytes, in hexadecimal, of the embedded
    /// encoding; of wrapping keys the SHA-256 of the key.
    hashes: &'static [&'static str],
}

/// Hexadecimal digits that a hash has to have at least to name a key.
const FEWEST: usize = 8;

const fn known(
    name: &'static str,
    origin: &'static str,
    hashes: &'static [&'static str],
) -> KnownKey {
    KnownKey { name, origin, hashes }
}

const KNOWN: [KnownKey; 35] = [
    known(
        "root-ec-p256",
        "MCUboot, default of Zephyr and the nRF Connect SDK",
        &[
            "e30466f6b8470c1f29070b17f1e2d3e9",
            "26e692146c5c5e474adf6589ff4f8a05",
            "73590e9134e142c440ef5aa3260dd6e3",
        ],
    ),
    known(
        "root-ec-p384",
        "MCUboot and Trusted Firmware-M",
        &[
            "6bcd1e16d80e5fe13a5307e6f1de8344",
            "85b7bd5f5dff9a03a99927adaf6ca6fe",
            "3594b5e8683f5b62ee357fec3a6d761f",
        ],
    ),
    known(
        "root-ed25519",
        "MCUboot, default of Zephyr and the nRF Connect SDK",
        &[
            "c1907fa4eac7fae3840a78902b6f0710",
            "a022fa8a5d6a4d4b091a96b53e214a93",
            "e3e129b49f1218e18e4614acb2523389",
        ],
    ),
    known(
        "root-ed25519-2",
        "MCUboot",
        &[
            "6754edab1e29affef4a05935adecbeb1",
            "35004e718445817cb8390e263e19e697",
            "e11ed22583de283392266b917bd82e88",
        ],
    ),
    known(
        "root-ed25519-unknown",
        "MCUboot's negative tests",
        &[
            "b1d87d60173352b9a4808979790fc699",
            "e7e27f556648c7378842242298faa67a",
            "37491781699741ec96e7faaf03c04e70",
        ],
    ),
    known(
        "root-rsa-2048",
        "MCUboot, default of Zephyr and the nRF Connect SDK",
        &[
            "fc5701dc6135e1323847bdc40f04d2e5",
            "c0cb44a5e5c876ec8087159b1e8f92a5",
            "f6e476cfc11e79ec64d093dfa2f76746",
        ],
    ),
    known(
        "root-rsa-3072",
        "MCUboot",
        &[
            "449793fb65cd7698753d5b3f35fab15f",
            "ae18da5ca3df8b7bde3a1464a2959e62",
            "cc11bc6acffdaef824b4d828a9dae59d",
        ],
    ),
    known(
        "enc-ec256",
        "MCUboot and Infineon",
        &[
            "3c23fc4e1d332a0c86e6a8bf6ecf2604",
            "4861babb525ae827d64485a6046f3a10",
            "da215a911be258ffb7ca7e5f0f5aff33",
        ],
    ),
    known(
        "enc-rsa2048",
        "MCUboot",
        &[
            "5ac4d62dc5efbed57e705f61b5f2df8e",
            "8e2f7bf4209845fecfc026fd916c8ea3",
            "36f5fde9461d800be7254463183ca41f",
        ],
    ),
    known(
        "enc-x25519",
        "MCUboot",
        &[
            "9a1dc1eb80199d8498f2a75dde0a7b75",
            "be0922251642a6da7fe3c59cf25bbb99",
            "7f51a0351c44ccd050a571036781ead3",
        ],
    ),
    known(
        "cypress-test-ec-p256",
        "Infineon's ModusToolbox examples",
        &[
            "bb868a727f0ef75e890a6a52bccd1d93",
            "349f070642ec7b91a92c4a809645204d",
            "0063338264ee73a8cdcf66d9fed3caaf",
        ],
    ),
    known(
        "infineon-oem-0",
        "Infineon's ota-bootloader-abstraction",
        &[
            "29e4a122ee896d9ac59ae828031f1f8f",
            "6032a23a167b5667e71ec32d04174a21",
            "063e5dc240ae72be1dff6644be061ee7",
        ],
    ),
    known(
        "infineon-ota-ecdsa",
        "Infineon's ota-bootloader-abstraction",
        &[
            "bcceb88fee4b9dd2c9c2aa7ff43194a7",
            "954405c248706cadc9a13c5ac83064f0",
            "7b418b62c975a7a849e6181b63d44bda",
        ],
    ),
    known(
        "tfm-psoc64-secure",
        "Trusted Firmware-M",
        &[
            "3dfc6223395902412e16c0bda059f3dd",
            "6728b6c55c2dc1254423069e090b9571",
            "cc9f3aa6c212a140e8c13c1c230d8c49",
        ],
    ),
    known(
        "tfm-root-ec-p256-1",
        "Trusted Firmware-M",
        &[
            "82a5b443594853d4bf0fdd89a914a5dc",
            "e150af03c0fb0da4468be7947ec4395e",
            "c739edd165b087ee2fae90ed697d059d",
        ],
    ),
    known(
        "tfm-root-ec-p384-1",
        "Trusted Firmware-M",
        &[
            "4ec3fb3193234e2ed4456e84507ba591",
            "ae13b71dae49a7b89d4d8ee5095cb8d4",
            "dbfbee9d2fcab123eaf1e67ab1af9013",
        ],
    ),
    known(
        "tfm-root-rsa-2048-1",
        "Trusted Firmware-M",
        &[
            "e18015993d6d2760b499274baef264b8",
            "c46c4a850c0acdd3ae6e53ff06c4f01e",
            "03ca3a7f417a802b585d581b4e88661c",
        ],
    ),
    known(
        "tfm-root-rsa-3072",
        "Trusted Firmware-M",
        &[
            "bfe6d86f8826f4ff97fb96c4e6fbc499",
            "6e4b28a09d06faa08bdcd08e25139116",
            "f69cd928477027a5ce8f034912ee1cb1",
        ],
    ),
    known(
        "tfm-root-rsa-3072-1",
        "Trusted Firmware-M",
        &[
            "b360caf5c98c6b942a4882fa9d4823ef",
            "e96ac5149595497858d79043c2de2285",
            "04a38c108e91bfbdf69bba1f54cd4ba5",
        ],
    ),
    known(
        "nxp-enc-rsa2048",
        "NXP's MCUXpresso SDK",
        &[
            "dec80dd80ce7b0f587dccd989f8664ae",
            "e199703aac99676530b8ea2bbe5b6f43",
            "55d51ff571164892fe27f612e80931e1",
        ],
    ),
    known(
        "nxp-sign-ecdsa-p256",
        "NXP's MCUXpresso SDK",
        &[
            "737072a311c92944a82b2db78e4a5fd4",
            "b81cfa2794f3062643518a30778a034e",
            "57e6c11e062212c53680ad8a2399a280",
        ],
    ),
    known(
        "nxp-sign-rsa2048",
        "NXP's MCUXpresso SDK",
        &[
            "05449a70a65fbf52cd5efc231f89a2e7",
            "27dceb968f265f2a7192877311fd56b6",
            "6e43f4007c63dac8a8d86839b628d410",
        ],
    ),
    known(
        "arduino-stm32h7-encrypt",
        "Arduino's MCUboot for STM32H7",
        &[
            "af7b83df573d2e03cae48e1788ebe206",
            "b87abeb96c79b4df802b8a0a5e857c15",
            "2802b1b889139d86629d11911ee30ecc",
        ],
    ),
    known(
        "arduino-stm32h7-signing",
        "Arduino's MCUboot for STM32H7",
        &[
            "98fdc500153da5c30ba438a9dca3b08d",
            "d8ec48b92df1aba24e5a02c4566bd65a",
            "759abd3676befb0f70a185646f094c42",
        ],
    ),
    known(
        "mynewt-key-ec256",
        "MCUboot's Mynewt tests",
        &[
            "6dc968724fdedb71be7c8ad62540ea14",
            "b9d5ed01d3f77fef39151ec954d3f29f",
            "571bc42b33ccb6917669da5a73c321b6",
        ],
    ),
    known(
        "mynewt-key-ec256-2",
        "MCUboot's Mynewt tests",
        &[
            "1c35c9ccb929906e7792eda384825b41",
            "050d6bbba1157c89bab2d9aaf1e11c1b",
            "9a3e6b01e8231c071af2a7872e0c3868",
        ],
    ),
    known(
        "mynewt-key-rsa",
        "MCUboot's Mynewt tests",
        &[
            "263e1b46f29ad5add6fc438abbf6bf22",
            "6b01f45fc86cb9a7db80eb3aeefdc393",
            "5a61978f756cb5d9cde6ec0d1ed588d3",
        ],
    ),
    known(
        "mynewt-key-rsa-2",
        "MCUboot's Mynewt tests",
        &[
            "6347a153696d6c91eaa335290a611506",
            "8aef95d3fef1a6691f96dbe1f5d8aeca",
            "35267d214c64be8b62e07f3cb05b4098",
        ],
    ),
    known(
        "bad-ec-p256",
        "MCUboot's negative tests",
        &[
            "e6c097daf1458d0f8b8d43fc4b4b9d44",
            "6c66e27b41921bbad2aa6a283ba3f84d",
            "f528ace8cbb0c15fbac23d5d5fc23104",
        ],
    ),
    known(
        "bad-rsa-2048",
        "MCUboot's negative tests",
        &[
            "e32a93d4ef8c5f4d503642e2cc7c5eec",
            "562aa576d0aa9acc4a93ff50b20bf305",
            "e3fdb0bed184d6c2fdbb5c2c618cde53",
        ],
    ),
    known(
        "sample-ecdsa-p256",
        "Updraft, default of its firmware",
        &[
            "523428a1bf931c8d8219f93d4eabc0b0",
            "5921ecfbbbd9f5228b16ea6d2b5891a1",
            "9c202ddd2d7873ae4e80bd7076d72c53",
        ],
    ),
    known(
        "sample-ed25519",
        "Updraft, default of its firmware",
        &[
            "c851c215aa4ec38720a1cd5972927e94",
            "108b60f73bd3e663911c7ed4550a74d9",
            "bda5f650a2dedd4fc64e09a233f5e31e",
        ],
    ),
    known(
        "sample-rsa-2048",
        "Updraft, default of its firmware",
        &[
            "6a77d6648d3cba2f2bdc1a2037b57e4b",
            "d6735fe529c8b9eda51a91ba2be2a1c1",
            "db6da90852cf75c9d103d54943f798a5",
        ],
    ),
    known("enc-aes128kw", "MCUboot", &["fda93db569616604538b64817c9ca14f"]),
    known("enc-aes256kw", "MCUboot", &["80cf3e2e4111a041e360a00bc6f83327"]),
];

/// The published key with this hash, in lower-case hexadecimal: SHA-256, SHA-384 or SHA-512, as in
/// KEYHASH TLVs, or the beginning of one, four bytes or more.
pub fn known_key(hash: &str) -> Option<&'static KnownKey> {
    let is = |beginning: &&str| {
        hash.len() >= FEWEST && hash.bytes().zip(beginning.bytes()).all(|(a, b)| a == b)
    };
    KNOWN.iter().find(|key| key.hashes.iter().any(is))
}

/// The published key of that name.
pub fn known_key_called(name: &str) -> Option<&'static KnownKey> {
    KNOWN.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_key_is_told_by_each_of_its_hashes() {
        for key in KNOWN {
            for hash in key.hashes {
                assert_eq!(hash.len(), 32, "{}", key.name);
                assert!(hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
                assert_eq!(known_key(&format!("{hash}00000000")), Some(&key));
                assert_eq!(known_key(&hash[..FEWEST]), Some(&key));
                assert_eq!(known_key(&hash[..FEWEST - 1]), None);
                let other = if hash.ends_with('0') { '1' } else { '0' };
                assert_eq!(known_key(&format!("{}{other}", &hash[..31])), None);
            }
        }
    }
}
