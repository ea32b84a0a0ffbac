//! Keys whose private halves are published: samples, defaults and test keys of well-known
//! projects. An image signed with one proves nothing, anybody can make it.

/// A published key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Its name.
    pub name: &'static str,
    /// Where it is published.
    pub origin: &'static str,
    /// SHA-256 of its embedded encoding, in hexadecimal.
    sha256: &'static str,
}

const fn known(name: &'static str, origin: &'static str, sha256: &'static str) -> KnownKey {
    KnownKey { name, origin, sha256 }
}

const KNOWN: [KnownKey; 12] = [
    known(
        "root-ec-p256",
        "MCUboot, default of Zephyr and the nRF Connect SDK",
        "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6",
    ),
    known(
        "root-ed25519",
        "MCUboot, default of Zephyr and the nRF Connect SDK",
        "c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c",
    ),
    known(
        "root-ed25519-2",
        "MCUboot",
        "6754edab1e29affef4a05935adecbeb1a7b8b62397b31e39a61b5bfcaafd63af",
    ),
    known(
        "cypress-test-ec-p256",
        "Infineon's ModusToolbox examples",
        "bb868a727f0ef75e890a6a52bccd1d936fb34438afd6f237e8af259865742446",
    ),
    known(
        "infineon-ota-ecdsa",
        "Infineon's ota-bootloader-abstraction",
        "bcceb88fee4b9dd2c9c2aa7ff43194a739d631ddffac61a7ff6f0c0a26c30fb4",
    ),
    known(
        "tfm-psoc64-secure",
        "Trusted Firmware-M",
        "3dfc6223395902412e16c0bda059f3ddb0f732f05380d9a4e276f15c8a2c70ad",
    ),
    known(
        "tfm-root-ec-p256-1",
        "Trusted Firmware-M",
        "82a5b443594853d4bf0fdd89a914a5dc16f867548207d7077e74d80c063efda9",
    ),
    known(
        "nxp-sign-ecdsa-p256",
        "NXP's MCUXpresso SDK",
        "737072a311c92944a82b2db78e4a5fd487d86122c1ca19560a8e21b3d7491653",
    ),
    known(
        "arduino-stm32h7-signing",
        "Arduino's MCUboot for STM32H7",
        "98fdc500153da5c30ba438a9dca3b08df113bfefdc5436c32a3a9b021b2a9d2d",
    ),
    known(
        "mynewt-key-ec256",
        "MCUboot's Mynewt tests",
        "6dc968724fdedb71be7c8ad62540ea148996f96adb5c48e9cc3112c588f26d89",
    ),
    known(
        "mynewt-key-ec256-2",
        "MCUboot's Mynewt tests",
        "1c35c9ccb929906e7792eda384825b41be700c50760493eaf163135933e191aa",
    ),
    known(
        "bad-ec-p256",
        "MCUboot's negative tests",
        "e6c097daf1458d0f8b8d43fc4b4b9d4425203484b3afe5570ed074073901bab0",
    ),
];

/// The published key whose embedded encoding has this SHA-256, in lower-case hexadecimal.
pub fn known_key(sha256: &str) -> Option<&'static KnownKey> {
    KNOWN.iter().find(|key| key.sha256 == sha256)
}
