//! Hashes of passwords: argon2id in PHC strings, computed and compared.

use argon2::{Algorithm, Argon2, Params, PasswordHash as Phc, Version, password_hash::phc::Salt};
use aws_lc_rs::constant_time;

use super::{memory::Memory, random};
use crate::domain::PasswordHash;

pub const HASH_BYTES: usize = 32;

/// Why there is no hash, or no answer about one.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or the answer is not wanted any more.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// The stored hash was not written by this program.
    #[error("an unexpected value in column password_hash of users: {0}")]
    Damaged(String),
    #[error("{0}")]
    Failed(String),
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Wrong,
    Right,
    /// The right password, hashed with parameters that are no longer those of the settings.
    RightButOld,
}

impl Check {
    pub const fn is_right(self) -> bool {
        !matches!(self, Self::Wrong)
    }
}

pub fn hash(params: &Params, password: &[u8], memory: &mut Memory) -> Result<PasswordHash, HashError> {
    let salt = Salt::new(&random::bytes::<16>()).map_err(|e| broken(&e))?;
    let output = compute(params, Version::V0x13, password, &salt, memory)?;
    let output = argon2::password_hash::phc::Output::new(&output).map_err(|e| broken(&e))?;
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(|e: argon2::password_hash::Error| broken(&e))?,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(PasswordHash::from_phc(phc.to_string()))
}

pub fn check(
    params: &Params,
    password: &[u8],
    stored: Option<&PasswordHash>,
    memory: &mut Memory,
) -> Result<Check, HashError> {
    let Some(stored) = stored else {
        let salt = Salt::new(&random::bytes::<16>()).map_err(|e| broken(&e))?;
        compute(params, Version::V0x13, password, &salt, memory)?;
        return Ok(Check::Wrong);
    };
    let stored = Phc::new(stored.as_phc()).map_err(|e| unreadable(&e))?;
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
        return Err(unreadable(&"no salt or hash"));
    };
    let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(|e| unreadable(&e))?;
    let stored_params = Params::try_from(&stored).map_err(|e| unreadable(&e))?;
    if stored.algorithm != Algorithm::Argon2id.ident() || expected.len() != HASH_BYTES {
        return Err(unreadable(&"not a hash of ours"));
    }
    let computed = compute(&stored_params, version, password, &salt, memory)?;
    if constant_time::verify_slices_are_equal(&computed, expected.as_bytes()).is_err() {
        make_up_for(&stored_params, params, password, &salt, memory)?;
        return Ok(Check::Wrong);
    }
    let same = |of: fn(&Params) -> u32| of(params) == of(&stored_params);
    let is_current =
        same(Params::m_cost) && same(Params::t_cost) && same(Params::p_cost) && version == Version::V0x13;
    Ok(if is_current { Check::Right } else { Check::RightButOld })
}

/// Does what is missing, so that a wrong password for a hash with cheaper parameters takes as long as one for an unknown
/// address. (For a hash with more expensive parameters it takes longer, until that user logs in: there is no way to do less.)
fn make_up_for(
    stored: &Params,
    current: &Params,
    password: &[u8],
    salt: &Salt,
    memory: &mut Memory,
) -> Result<(), HashError> {
    let cost = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
    let missing = cost(current).saturating_sub(cost(stored)) / u64::from(current.t_cost());
    let least = Params::MIN_M_COST * current.p_cost();
    let rest = u32::try_from(missing).unwrap_or(u32::MAX);
    if rest < least {
        return Ok(());
    }
    let rest =
        Params::new(rest, current.t_cost(), current.p_cost(), Some(HASH_BYTES)).map_err(|e| broken(&e))?;
    compute(&rest, Version::V0x13, password, salt, memory).map(|_| ())
}

fn compute(
    params: &Params,
    version: Version,
    password: &[u8],
    salt: &Salt,
    memory: &mut Memory,
) -> Result<[u8; HASH_BYTES], HashError> {
    let mut output = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, version, params.clone())
        .hash_password_into_with_memory(
            password,
            salt.as_ref(),
            &mut output,
            memory.blocks(params.block_count()),
        )
        .map_err(|e| broken(&e))?;
    Ok(output)
}

fn broken(why: &dyn std::fmt::Display) -> HashError {
    HashError::Failed(format!("a password could not be hashed: {why}"))
}

fn unreadable(why: &dyn std::fmt::Display) -> HashError {
    HashError::Damaged(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hash_of_ours_is_damage_and_no_wrong_password() {
        let params = Params::new(64, 1, 1, Some(HASH_BYTES)).expect("in range");
        let ours = hash(&params, b"mocha", &mut Memory::default()).expect("hashed");
        let (head, output) = ours.as_phc().rsplit_once('$').expect("a PHC string");
        for other in [ours.as_phc().replace("$argon2id$", "$argon2i$"), format!("{head}${}", &output[..22])] {
            let found =
                check(&params, b"mocha", Some(&PasswordHash::from_phc(other)), &mut Memory::default());
            assert!(matches!(found, Err(HashError::Damaged(_))), "{found:?}");
        }
    }

    #[test]
    fn a_wrong_password_for_a_cheaper_hash_costs_what_is_missing() {
        let params = |(m, t, p)| Params::new(m, t, p, Some(HASH_BYTES)).expect("in range");
        for (stored, current, blocks) in [
            ((64, 1, 1), (64, 1, 1), 0),
            ((64, 1, 1), (128, 2, 1), 96),
            ((64, 2, 1), (128, 1, 1), 0),
            ((64, 1, 1), (72, 1, 1), 8),
            ((64, 1, 1), (71, 1, 1), 0),
            ((64, 1, 2), (74, 1, 2), 0),
        ] {
            // The memory that it needed tells what it did.
            let (salt, mut memory) = (Salt::new(&[7; 16]).expect("long enough"), Memory::default());
            make_up_for(&params(stored), &params(current), b"mocha", &salt, &mut memory).expect("done");
            assert_eq!(memory.blocks(0).len(), blocks, "{stored:?} {current:?}");
        }
    }
}
