//! Arguments that several commands take.

use std::{error::Error, str::FromStr};

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use uuid::Uuid;

use crate::domain::{Limit, VariantArray};

#[derive(clap::Args)]
pub struct UserArgs {
    /// The user's id or e-mail address.
    pub user: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Parses a whole number; `page_size` then checks its range.
pub fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("must be a whole number from 1 to {}", Limit::MAX))
}

pub fn page_size(number: i64) -> Result<Limit> {
    Limit::new(number)
        .map_err(|_| anyhow::anyhow!("--limit is {number}; it must be from 1 to {}", Limit::MAX))
}

pub fn id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text.trim()).map_err(|_| "must be an id such as 019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0")
}

/// Parses one of the values of an enum, by the word that the API has for it.
pub fn choice<V>() -> impl TypedValueParser<Value = V>
where
    V: VariantArray + FromStr<Err: Error + Send + Sync> + Copy + Into<&'static str> + Send + Sync,
{
    let names = V::VARIANTS.iter().map(|variant| (*variant).into()).collect::<Vec<&'static str>>();
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
