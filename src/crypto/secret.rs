//! The installation secret: 32 random bytes that are not in the database, so that a copy of it opens nothing.

use std::{
    fmt, fs,
    io::{self, Write},
    path::Path,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time, digest, hmac, rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::fs::Access;

use crate::config::secret_file::{self, Exposed};
use crate::domain::{CodeHash, CountKey, Email, PlainCode, PlainToken, Purpose, TokenHash, UserId};
use crate::files;

/// The file it is kept in, beside the database.
pub const FILE: &str = "coffeeshop.secret";

/// Why there is no secret, in words for whoever starts the program.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is not 32 bytes.
    #[error("{0}: the secret must be 32 bytes in base64url or hex")]
    Malformed(String),
    /// Others can read the file.
    #[error("the installation secret is in {0}")]
    Exposed(Exposed),
    /// The file belongs to another user.
    #[error("cannot read the installation secret: {0}")]
    Denied(String),
    /// The operating system says no.
    #[error("{0}: {1}")]
    Failed(String, io::Error),
}

/// The secret, as the keys that are derived from it: one for each use.
pub struct InstallationSecret {
    codes: hmac::Key,
    counts: hmac::Key,
    successors: hmac::Key,
    sealing: RandomizedNonceKey,
}

impl InstallationSecret {
    /// The secret given in the settings.
    ///
    /// # Errors
    /// If it is not 32 bytes in base64url or hex.
    pub fn given(text: &str) -> Result<Self, SecretError> {
        Self::derive(parse(text.trim()).ok_or_else(|| SecretError::Malformed("auth.secret".to_owned()))?)
    }

    /// The secret in the file in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read or made, if others can read it, or if it holds something else.
    pub fn in_folder(folder: &Path) -> Result<Self, SecretError> {
        let path = folder.join(FILE);
        let at = path.display().to_string();
        let failed = |error| match files::obstacle(&path, Access::READ_OK) {
            Some(obstacle) => SecretError::Denied(obstacle),
            None => SecretError::Failed(at.clone(), error),
        };
        if !path.try_exists().map_err(failed)? {
            make(folder, &path).map_err(failed)?;
        }
        let (content, exposed) = secret_file::read(&path).map_err(failed)?;
        if let Some(exposed) = exposed {
            return Err(SecretError::Exposed(exposed));
        }
        Self::derive(
            str::from_utf8(&content)
                .ok()
                .and_then(|text| parse(text.trim()))
                .ok_or(SecretError::Malformed(at))?,
        )
    }

    fn derive(secret: [u8; 32]) -> Result<Self, SecretError> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let key = |label: &str| hmac::sign(&secret, label.as_bytes());
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key("coffeeshop sealing v1").as_ref())
            .map_err(|_| SecretError::Malformed("the secret".to_owned()))?;
        Ok(Self {
            codes: hmac::Key::new(hmac::HMAC_SHA256, key("coffeeshop codes v1").as_ref()),
            counts: hmac::Key::new(hmac::HMAC_SHA256, key("coffeeshop counts v1").as_ref()),
            successors: hmac::Key::new(hmac::HMAC_SHA256, key("coffeeshop successors v1").as_ref()),
            sealing,
        })
    }

    /// What is stored of a code: good for this user, purpose and address alone.
    #[must_use]
    pub fn hash_code(&self, code: &PlainCode, user_id: UserId, purpose: Purpose, email: &Email) -> CodeHash {
        let mut context = hmac::Context::with_key(&self.codes);
        // Every part but the last has a fixed length or an end that cannot be in it.
        context.update(user_id.as_uuid().as_bytes());
        context.update(purpose.into_str().as_bytes());
        context.update(b"\0");
        context.update(code.as_str().as_bytes());
        context.update(email.key().as_bytes());
        CodeHash(bytes(context.sign().as_ref()))
    }

    /// Under what it is counted how much of a kind was sent to an address.
    #[must_use]
    pub fn hash_count(&self, kind: &str, email: &Email) -> CountKey {
        let mut context = hmac::Context::with_key(&self.counts);
        context.update(kind.as_bytes());
        context.update(b"\0");
        context.update(email.key().as_bytes());
        CountKey(bytes(context.sign().as_ref()))
    }

    /// Under what a budget is kept. No part can hold what separates them.
    #[must_use]
    pub fn hash_limit(&self, kind: &str, parts: &[&str]) -> CountKey {
        let mut context = hmac::Context::with_key(&self.counts);
        context.update(b"limit\0");
        context.update(kind.as_bytes());
        for part in parts {
            context.update(b"\0");
            context.update(part.as_bytes());
        }
        CountKey(bytes(context.sign().as_ref()))
    }

    /// The refresh token that follows another: the same one however often it is asked for, so that a lost reply can be
    /// given again, and nobody's guess without the secret.
    #[must_use]
    pub fn successor(&self, token: &PlainToken) -> PlainToken {
        PlainToken::new(URL_SAFE_NO_PAD.encode(hmac::sign(&self.successors, token.as_str().as_bytes())))
    }

    /// Encrypts (AES-256-GCM); `label` must be the same to decrypt.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut sealed = plain.to_vec();
        let nonce =
            self.sealing.seal_in_place_append_tag(Aad::from(label), &mut sealed).map_err(|_| Unsealed)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Decrypts.
    ///
    /// # Errors
    /// If it was not sealed with this secret and label, or was changed since.
    pub fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unsealed)?;
        let mut plain = sealed.to_vec();
        let length = self
            .sealing
            .open_in_place(Nonce::from(nonce), Aad::from(label), &mut plain)
            .map_err(|_| Unsealed)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationSecret(…)")
    }
}

/// Something that could not be sealed or unsealed.
#[derive(Debug, thiserror::Error)]
#[error("sealed with another secret, or damaged")]
pub struct Unsealed;

/// A fresh token of 256 random bits.
#[must_use]
pub fn random_token() -> PlainToken {
    PlainToken::new(URL_SAFE_NO_PAD.encode(random::<32>()))
}

/// A fresh code: every one of the million is as likely as any other.
#[must_use]
pub fn random_code() -> PlainCode {
    let number = loop {
        if let Some(number) = below_a_million(u32::from_le_bytes(random())) {
            break number;
        }
    };
    PlainCode::from_number(number)
}

/// The number of a code out of a random one. What is past the last whole million gives none, or small codes would be
/// likelier.
fn below_a_million(random: u32) -> Option<u32> {
    const CODES: u32 = 1_000_000;
    (random < u32::MAX - u32::MAX % CODES).then_some(random % CODES)
}

/// What is stored of a token.
#[must_use]
pub fn hash_token(token: &PlainToken) -> TokenHash {
    TokenHash(bytes(digest::digest(&digest::SHA256, token.as_str().as_bytes()).as_ref()))
}

/// Whether two codes are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same_code(a: CodeHash, b: CodeHash) -> bool {
    constant_time::verify_slices_are_equal(&a.0, &b.0).is_ok()
}

/// Random bytes from the operating system's generator.
///
/// # Panics
/// If the generator fails: nothing can be done safely then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert!(rand::fill(&mut bytes).is_ok(), "the random generator failed");
    bytes
}

fn bytes(digest: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest);
    bytes
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let hex = || {
        let pairs = text
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        (text.len() == 64).then(|| pairs.collect::<Option<Vec<_>>>())?
    };
    let bytes: [u8; 32] =
        hex().or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())?.try_into().ok()?;
    // Thirty-two times the same byte is somebody's placeholder.
    bytes.iter().any(|byte| *byte != bytes[0]).then_some(bytes)
}

/// Makes the file whole and durable, or not at all; if two programs start together, the first one's stays.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    make_by(folder, path, |file| {
        writeln!(file, "{}", URL_SAFE_NO_PAD.encode(random::<32>()))?;
        file.sync_all()
    })
}

fn make_by(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let draft = folder.join(format!(".{FILE}.{}", URL_SAFE_NO_PAD.encode(random::<8>())));
    let mut file = files::create_new(&draft)?;
    let made = write(&mut file).and_then(|()| fs::hard_link(&draft, path));
    // Whatever came of it: on a full disk each start would leave one more.
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => removed.and_then(|()| fs::File::open(folder)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn secret() -> InstallationSecret {
        InstallationSecret::given(&"0123456789abcdef".repeat(4)).expect("32 bytes")
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_and_label_alone() {
        let sealed = secret().seal("a", b"text").expect("sealed");
        assert_eq!(secret().unseal("a", &sealed).expect("the same"), b"text");
        assert!(secret().unseal("b", &sealed).is_err());
        let other = InstallationSecret::given(&"fedcba9876543210".repeat(4)).expect("32 bytes");
        assert!(other.unseal("a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(secret().unseal("a", &changed).is_err());
        }
        assert!(secret().unseal("a", b"short").is_err());
    }

    #[test]
    fn only_32_bytes_are_a_secret() {
        let file = tempfile::tempdir().expect("a folder");
        InstallationSecret::in_folder(file.path()).expect("made");
        let text = fs::read_to_string(file.path().join(FILE)).expect("there");
        assert!(InstallationSecret::given(text.trim()).is_ok());
        for bad in ["", "changeme", "0123456789abcdef", &"00".repeat(32), &"0g".repeat(32), &text.trim()[1..]]
        {
            assert!(InstallationSecret::given(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        InstallationSecret::in_folder(folder.path()).expect("made");
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(InstallationSecret::in_folder(folder.path()), Err(SecretError::Exposed(_))));
    }

    #[test]
    fn a_code_is_bound_to_its_user_purpose_and_address() {
        let email = |text| Email::parse("email", text).expect("plain");
        let (user, code) = (UserId::new(), PlainCode::from_number(123_456));
        let hash = |user, purpose, address| secret().hash_code(&code, user, purpose, &email(address));
        let one = hash(user, Purpose::VerifyEmail, "ann@example.com");
        assert!(same_code(one, hash(user, Purpose::VerifyEmail, "ANN@example.com")));
        assert!(!same_code(one, hash(UserId::new(), Purpose::VerifyEmail, "ann@example.com")));
        assert!(!same_code(one, hash(user, Purpose::ResetPassword, "ann@example.com")));
        assert!(!same_code(one, hash(user, Purpose::VerifyEmail, "bob@example.com")));
    }

    #[test]
    fn codes_are_spread_evenly() {
        let mut digits = [[0_u32; 10]; 6];
        for _ in 0..20_000 {
            for (place, digit) in random_code().as_str().bytes().enumerate() {
                digits[place][usize::from(digit - b'0')] += 1;
            }
        }
        // 2,000 of each are expected in each place; ±300 is seven standard deviations.
        assert!(digits.iter().flatten().all(|count| (1_700..2_300).contains(count)), "{digits:?}");
    }

    #[test]
    fn no_code_is_likelier_by_a_single_chance() {
        for (random, code) in [
            (0, Some(0)),
            (999_999, Some(999_999)),
            (1_000_000, Some(0)),
            (4_293_999_999, Some(999_999)),
            (4_294_000_000, None),
            (u32::MAX, None),
        ] {
            assert_eq!(below_a_million(random), code, "{random}");
        }
    }

    #[test]
    fn the_second_process_keeps_the_first_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        make(folder.path(), &path).expect("made");
        let first = fs::read(&path).expect("there");
        make(folder.path(), &path).expect("there already");
        assert_eq!(fs::read(&path).expect("there"), first);
        assert!(make(folder.path(), &folder.path().join("nowhere").join(FILE)).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    }

    #[test]
    fn a_secret_that_finds_no_room_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let full = |file: &mut fs::File| {
            file.write_all(b"half of the sec")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let made = make_by(folder.path(), &folder.path().join(FILE), full);
        assert_eq!(made.expect_err("no room").kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", secret()), "InstallationSecret(…)");
    }
}
