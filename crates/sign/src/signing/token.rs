//! A key in a PKCS#11 token.

use std::env;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use updraft_image::{Digest, Scheme};
use zeroize::Zeroizing;

use super::{SigningKey, TokenUri, checked_digest, checked_message};
use crate::{KeyError, PublicKey, der};

/// Libraries that know all tokens of a system.
const PROXIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so",
    "/usr/lib/aarch64-linux-gnu/p11-kit-proxy.so",
    "/usr/lib64/p11-kit-proxy.so",
];

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No library is named, and the system's own is not there.
    #[error("no PKCS#11 library: name it in the URI, ?module-path=FILE, or in PKCS11_MODULE")]
    NoModule,
    /// The library cannot be loaded.
    #[error("the PKCS#11 library {path} cannot be used: {source}")]
    Module {
        /// Its file.
        path: String,
        /// What went wrong.
        source: Error,
    },
    /// No token fits.
    #[error("no token fits the URI; there are: {0}")]
    NoToken(String),
    /// Several tokens fit.
    #[error("{0} tokens fit the URI: say more, for example serial=…")]
    Ambiguous(usize),
    /// The PIN file cannot be read.
    #[error("the PIN in {path} cannot be read: {source}")]
    PinFile {
        /// Its path.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The token wants a PIN.
    #[error("the token wants a PIN: UPDRAFT_PKCS11_PIN, or ?pin-source=FILE in the URI")]
    NoPin,
    /// The PIN is wrong, or no longer good.
    #[error("the token refuses the PIN: {0}")]
    Pin(Error),
    /// No key fits.
    #[error("the token has no private key that fits the URI")]
    NoKey,
    /// Several keys fit.
    #[error("{0} private keys fit the URI: say more, object=… or id=…")]
    ManyKeys(usize),
    /// The key wants its PIN for each signature, and the library signs in one step alone, which
    /// leaves no time for that.
    #[error(
        "the key wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE), and the library \
         takes it only of those that sign in pieces: {0}"
    )]
    EachTime(Error),
    /// The public half is missing or of no use.
    #[error("the public half of the key cannot be read: {0}")]
    Public(String),
    /// Something else that the library says.
    #[error("the token: {0}")]
    Token(#[from] Error),
}

/// A key in a token, which signs with it.
#[derive(Debug)]
pub struct TokenKey {
    session: Session,
    private: ObjectHandle,
    public: PublicKey,
    /// How to log in before each signature, if the key wants that.
    each_time: Option<Login>,
}

/// The PIN; `None` if it is typed on the token's own keys.
type Login = Option<AuthPin>;

impl TokenKey {
    /// Finds the key, logging in to its token if that wants it: with the PIN of the URI, of the
    /// file that the URI names, of the environment variable `UPDRAFT_PKCS11_PIN`, or what `ask`
    /// gives.
    pub fn open(
        uri: &TokenUri,
        ask: impl FnOnce(&str) -> Option<Zeroizing<String>>,
    ) -> Result<Self, TokenError> {
        let library = library(uri)?;
        let (slot, info) = slot(&library, uri)?;
        let session = library.open_ro_session(slot)?;
        let mut login = None;
        if info.login_required() {
            let pin = match (pin(uri)?, info.protected_authentication_path()) {
                (Some(pin), _) => Some(pin),
                (None, true) => None,
                (None, false) => Some(ask(info.label().trim()).ok_or(TokenError::NoPin)?),
            };
            let pin = pin.map(|pin| AuthPin::new(pin.as_str().into()));
            match session.login(UserType::User, pin.as_ref()) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(TokenError::Pin(error)),
            }
            login = pin;
        }
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Sign(true)];
        wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into())));
        wanted.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
        let private = match session.find_objects(&wanted)?.as_slice() {
            [one] => *one,
            [] => return Err(TokenError::NoKey),
            several => return Err(TokenError::ManyKeys(several.len())),
        };
        let each_time = session.get_attributes(private, &[AttributeType::AlwaysAuthenticate])?;
        let each_time = each_time.contains(&Attribute::AlwaysAuthenticate(true)).then_some(login);
        let public = public(&session, private)?;
        Ok(Self { session, private, public, each_time })
    }

    fn sign(&self, mechanism: &Mechanism<'_>, bytes: &[u8]) -> Result<Vec<u8>, TokenError> {
        let Some(pin) = &self.each_time else {
            return Ok(self.session.sign(mechanism, self.private, bytes)?);
        };
        // PKCS#11, "CKA_ALWAYS_AUTHENTICATE": the login belongs to one signature, and comes between
        // its beginning and its end.
        self.session.sign_init(mechanism, self.private)?;
        let login = self.session.login(UserType::ContextSpecific, pin.as_ref());
        login.map_err(TokenError::Pin)?;
        self.session.sign_update(bytes).map_err(TokenError::EachTime)?;
        Ok(self.session.sign_final()?)
    }
}

impl SigningKey for TokenKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        let signature = match self.public.scheme() {
            Some(Scheme::EcdsaP256 | Scheme::EcdsaP384) => {
                self.sign(&Mechanism::Ecdsa, digest.as_bytes())?
            }
            Some(Scheme::Rsa2048 | Scheme::Rsa3072) => {
                let pss = PkcsPssParams {
                    hash_alg: MechanismType::SHA256,
                    mgf: PkcsMgfType::MGF1_SHA256,
                    s_len: 32.into(),
                };
                self.sign(&Mechanism::RsaPkcsPss(pss), digest.as_bytes())?
            }
            _ => return self.sign_message(digest.as_bytes()),
        };
        checked_digest(&self.public, digest, signature)
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        if self.public.scheme() != Some(Scheme::Ed25519) {
            return Err(KeyError::DoesNotSign { name: self.public.kind().with_article() });
        }
        let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        checked_message(&self.public, message, self.sign(&pure, message)?)
    }
}

fn library(uri: &TokenUri) -> Result<Pkcs11, TokenError> {
    let path = uri.module.clone().or_else(|| env::var("PKCS11_MODULE").ok());
    let proxy =
        || PROXIES.iter().find(|path| Path::new(path).exists()).map(|&path| path.to_owned());
    let path = path.or_else(proxy).ok_or(TokenError::NoModule)?;
    let unusable = |source| TokenError::Module { path: path.clone(), source };
    let library = Pkcs11::new(&path).map_err(unusable)?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        Err(error) => Err(unusable(error)),
    }
}

fn slot(library: &Pkcs11, uri: &TokenUri) -> Result<(Slot, TokenInfo), TokenError> {
    let fits = |wanted: &Option<String>, found: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted == found.trim())
    };
    let (mut fitting, mut labels) = (Vec::new(), Vec::new());
    for slot in library.get_slots_with_initialized_token()? {
        let info = library.get_token_info(slot)?;
        labels.push(info.label().trim().to_owned());
        if fits(&uri.token, info.label())
            && fits(&uri.serial, info.serial_number())
            && fits(&uri.model, info.model())
            && fits(&uri.manufacturer, info.manufacturer_id())
            && uri.slot.is_none_or(|id| id == slot.id())
        {
            fitting.push((slot, info));
        }
    }
    match fitting.len() {
        0 if labels.is_empty() => Err(TokenError::NoToken("none".into())),
        0 => Err(TokenError::NoToken(labels.join(", "))),
        1 => Ok(fitting.swap_remove(0)),
        several => Err(TokenError::Ambiguous(several)),
    }
}

fn pin(uri: &TokenUri) -> Result<Option<Zeroizing<String>>, TokenError> {
    if let Some(pin) = &uri.pin {
        return Ok(Some(pin.clone()));
    }
    if let Some(path) = &uri.pin_source {
        let read = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = read.map_err(|source| TokenError::PinFile { path: path.clone(), source })?;
        return Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())));
    }
    Ok(env::var("UPDRAFT_PKCS11_PIN").ok().map(Zeroizing::new))
}

/// The public half: of the private key's own attributes, or of the public key with its id. Without
/// an id it is the only public key of the type, or the only one with its label.
fn public(session: &Session, private: ObjectHandle) -> Result<PublicKey, TokenError> {
    let broken = |what: &str| TokenError::Public(what.into());
    let mut kind = None;
    let (mut id, mut label) = (None, None);
    let wanted = [AttributeType::KeyType, AttributeType::Id, AttributeType::Label];
    for attribute in session.get_attributes(private, &wanted)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Id(found) => id = Some(found).filter(|id| !id.is_empty()),
            Attribute::Label(found) => label = Some(found).filter(|label| !label.is_empty()),
            _ => {}
        }
    }
    let kind = kind.ok_or_else(|| broken("the key has no type"))?;
    let mut half = vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(kind)];
    let by_id = id.is_some();
    half.extend(id.map(Attribute::Id));
    let mut holders = session.find_objects(&half)?;
    if holders.len() > 1 && !by_id {
        half.extend(label.map(Attribute::Label));
        holders = session.find_objects(&half)?;
    }
    let holder = match (holders.as_slice(), kind) {
        ([], _) => private,
        ([one], _) => *one,
        // An RSA key has its public half in itself.
        (_, KeyType::RSA) => private,
        ([first, ..], _) if by_id => *first,
        (several, _) => {
            let count = several.len();
            return Err(broken(&format!("the key has no id, and {count} public keys fit it")));
        }
    };
    let wanted: &[AttributeType] = match kind {
        KeyType::RSA => &[AttributeType::Modulus, AttributeType::PublicExponent],
        _ => &[AttributeType::EcParams, AttributeType::EcPoint],
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(holder, wanted)? {
        match attribute {
            Attribute::Modulus(bytes) | Attribute::EcParams(bytes) => first = bytes,
            Attribute::PublicExponent(bytes) | Attribute::EcPoint(bytes) => second = bytes,
            _ => {}
        }
    }
    let der = match kind {
        KeyType::RSA => {
            der::rsa_public(&der::sequence(&[der::positive(&first), der::positive(&second)]))
        }
        KeyType::EC | KeyType::EC_EDWARDS => {
            // The point is in an OCTET STRING; some libraries leave that out.
            let inside = der::read(&second, der::OCTET_STRING).filter(|(_, rest)| rest.is_empty());
            let points = [inside.map(|(point, _)| point), Some(second.as_slice())];
            let read = |point| der::public_on(&first, point);
            let found = points.into_iter().flatten().find_map(read);
            found.ok_or_else(|| broken("a curve or a point that is not used here"))?
        }
        other => return Err(broken(&format!("a key of type {other}"))),
    };
    PublicKey::from_der(&der).map_err(|error| broken(&error.to_string()))
}
