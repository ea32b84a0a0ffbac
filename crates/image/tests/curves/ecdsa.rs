//! ECDSA over P-256, against the crate `p256`.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use proptest::prelude::*;
use updraft_image::{Digest, HashKind, PublicKey, Software, Verifier};

use crate::unhex;

/// What SubjectPublicKeyInfo has in front of the point.
const PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";

type Number = [u8; 32];

#[derive(Clone, Debug)]
struct Signed {
    /// Uncompressed.
    point: Vec<u8>,
    hash: Number,
    r: Number,
    s: Number,
}

impl Signed {
    fn ours(&self) -> bool {
        let der = [unhex(PREFIX), self.point.clone()].concat();
        let signature = [&[0x30, 0x44, 2, 32][..], &self.r, &[2, 32], &self.s].concat();
        is_good(&der, &self.hash, &signature)
    }

    fn theirs(&self) -> bool {
        let checked = || {
            let key = VerifyingKey::from_sec1_bytes(&self.point).ok()?;
            let signature = Signature::from_scalars(self.r, self.s).ok()?;
            key.verify_prehash(&self.hash, &signature).ok()
        };
        checked().is_some()
    }

    /// A signature that is good for `key` as `of_base · G + of_key · key` has the x that `r` is,
    /// over the hash that makes it so; nobody has to know the private key. It is not good if that
    /// sum is infinity.
    fn of(key: &AffinePoint, of_base: Scalar, of_key: Scalar) -> (Self, bool) {
        let sum = ProjectivePoint::GENERATOR * of_base + ProjectivePoint::from(*key) * of_key;
        let infinity = sum == ProjectivePoint::IDENTITY;
        let r = match infinity {
            true => Scalar::from(7_u32),
            false => <Scalar as Reduce<FieldBytes>>::reduce(&sum.to_affine().x()),
        };
        let s = r * of_key.invert().unwrap();
        let signed = Self {
            point: key.to_sec1_point(false).as_bytes().to_vec(),
            hash: (of_base * s).to_bytes().into(),
            r: r.to_bytes().into(),
            s: s.to_bytes().into(),
        };
        (signed, !infinity)
    }
}

fn is_good(der: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let keys = [PublicKey::from_der(der).unwrap()];
    let digest = Digest::from_slice(HashKind::Sha256, hash).unwrap();
    Software::new(&keys).verify(0, &digest, signature).is_yes()
}

fn number(hex: &str) -> Number {
    unhex(hex).try_into().unwrap()
}

/// `number` and a little more, or less.
fn near(number: Number, by: i32) -> Number {
    let mut carry = by;
    let mut sum = number;
    for byte in sum.iter_mut().rev() {
        carry += i32::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
    }
    sum
}

/// Numbers near the ends of what is a scalar, and any.
fn scalar() -> impl Strategy<Value = Scalar> {
    let other = any::<Number>().prop_map(|n| <Scalar as Reduce<FieldBytes>>::reduce(&n.into()));
    let small = (0..5_u32).prop_map(Scalar::from);
    let power =
        (0..256).prop_map(|power| (0..power).fold(Scalar::ONE, |scalar, _| scalar.double()));
    (prop_oneof![small, power, other], any::<bool>())
        .prop_map(|(scalar, negative)| if negative { -scalar } else { scalar })
}

fn nonzero() -> impl Strategy<Value = Scalar> {
    scalar().prop_map(|scalar| if scalar == Scalar::ZERO { Scalar::ONE } else { scalar })
}

/// Numbers of 256 bits around 0, the order, the prime and the end.
fn edge() -> impl Strategy<Value = Number> {
    let at = prop_oneof![Just([0; 32]), Just(number(ORDER)), Just(number(PRIME)), any::<Number>(),];
    (at, -2..=2).prop_map(|(number, by)| near(number, by))
}

#[test]
fn the_signatures_of_rfc_6979_are_good() {
    let key = [
        PREFIX,
        "04",
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    ];
    let key = unhex(&key.concat());
    let signatures = [
        (
            "sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
            "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ];
    for (message, r, s) in signatures {
        let signature = unhex(&["30440220", r, "0220", s].concat());
        let good = Digest::of(HashKind::Sha256, message.as_bytes());
        assert!(is_good(&key, good.as_bytes(), &signature), "{message}");
        let other = Digest::of(HashKind::Sha256, b"other");
        assert!(!is_good(&key, other.as_bytes(), &signature), "{message}");
    }
}

#[test]
fn a_point_beside_the_curve_is_no_key() {
    // The key itself is the sum, whose x is all that is compared: any point has such a signature.
    let (mut signed, good) = Signed::of(&AffinePoint::GENERATOR, Scalar::ZERO, Scalar::ONE);
    assert!(good && signed.ours());
    for at in 33..65 {
        signed.point[at] ^= 1;
        assert!(!signed.ours() && !signed.theirs(), "byte {at}");
        signed.point[at] ^= 1;
    }
}

#[test]
fn coordinates_beyond_the_prime_are_no_key() {
    // The first points by their x, which stays below 2²⁵⁶ with the prime on top.
    let mut points = 0;
    for x in 1..20_u8 {
        let mut coordinate = [0; 32];
        coordinate[31] = x;
        let point = AffinePoint::decompress(&coordinate.into(), 0.into());
        let Some(point) = point.into_option() else { continue };
        points += 1;
        let (mut signed, good) = Signed::of(&point, Scalar::from(3_u32), Scalar::from(5_u32));
        assert!(good && signed.ours(), "x = {x}");
        signed.point[1..33].copy_from_slice(&near(number(PRIME), x.into()));
        assert!(!signed.ours() && !signed.theirs(), "x = {x} and the prime");
    }
    assert!(points > 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_multiples_of_every_point_are_added_rightly(
        key in nonzero(),
        of_base in scalar(),
        of_key in nonzero(),
    ) {
        let key = (ProjectivePoint::GENERATOR * key).to_affine();
        let (signed, good) = Signed::of(&key, of_base, of_key);
        prop_assert_eq!(signed.theirs(), good);
        prop_assert_eq!(signed.ours(), good);
    }

    #[test]
    fn a_sum_at_infinity_has_no_x(key in nonzero(), of_key in nonzero()) {
        let point = (ProjectivePoint::GENERATOR * key).to_affine();
        let (signed, good) = Signed::of(&point, -(of_key * key), of_key);
        prop_assert!(!good && !signed.theirs());
        prop_assert!(!signed.ours());
    }

    #[test]
    fn small_multiples_meet_on_their_way(key in -8..8_i32, of_base in -8..8_i32, of_key in 1..8_u32) {
        let signed = |n: i32| {
            let scalar = Scalar::from(n.unsigned_abs());
            if n < 0 { -scalar } else { scalar }
        };
        prop_assume!(key != 0);
        let key = (ProjectivePoint::GENERATOR * signed(key)).to_affine();
        let (signed, good) = Signed::of(&key, signed(of_base), Scalar::from(of_key));
        prop_assert_eq!(signed.theirs(), good);
        prop_assert_eq!(signed.ours(), good);
    }

    #[test]
    fn what_is_changed_is_judged_as_elsewhere(
        key in nonzero(),
        of_base in scalar(),
        of_key in nonzero(),
        part in 0..6,
        by in edge(),
        bit in 0..256_usize,
    ) {
        let key = (ProjectivePoint::GENERATOR * key).to_affine();
        let (mut signed, _) = Signed::of(&key, of_base, of_key);
        match part {
            0 => signed.r = by,
            1 => signed.s = by,
            2 => signed.hash = by,
            3 => signed.point[1..33].copy_from_slice(&by),
            4 => signed.point[33..].copy_from_slice(&by),
            _ => signed.s[bit / 8] ^= 1 << (bit % 8),
        }
        prop_assert_eq!(signed.ours(), signed.theirs());
    }

    #[test]
    fn the_other_s_is_as_good(key in nonzero(), of_base in scalar(), of_key in nonzero()) {
        let key = (ProjectivePoint::GENERATOR * key).to_affine();
        let (mut signed, good) = Signed::of(&key, of_base, of_key);
        let s = <Scalar as Reduce<FieldBytes>>::reduce(&signed.s.into());
        signed.s = (-s).to_bytes().into();
        prop_assert_eq!(signed.ours(), good);
        prop_assert_eq!(signed.theirs(), good);
    }

    #[test]
    fn any_bytes_are_judged(
        point in prop::collection::vec(any::<u8>(), 65),
        tag in prop_oneof![Just(4), any::<u8>()],
        hash: Number,
        signature in prop::collection::vec(any::<u8>(), 0..130),
    ) {
        let mut der = [unhex(PREFIX), point].concat();
        der[26] = tag;
        prop_assert!(!is_good(&der, &hash, &signature));
    }
}
