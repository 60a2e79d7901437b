//! Arguments that several commands take.

use std::{error::Error, str::FromStr};

use anyhow::{Context as _, Result, anyhow};
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

/// Which page of a list.
#[derive(clap::Args)]
pub struct PageArgs {
    /// Page size, 1 to 200.
    #[arg(long, default_value_t = Limit::DEFAULT.into(), value_parser = number)]
    limit: i64,
    /// Show the page after this cursor, which the previous page ended with.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl PageArgs {
    pub fn limit(&self) -> Result<Limit> {
        let Self { limit, .. } = self;
        Limit::new(*limit).map_err(|_| anyhow!("--limit is {limit}; it must be from 1 to {}", Limit::MAX))
    }

    pub fn cursor<C>(&self, decode: impl FnOnce(&str) -> Option<C>) -> Result<Option<C>> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let cursor = decode(text);
        Ok(Some(cursor.context("--cursor must be the one that the previous page of this list ended with")?))
    }
}

/// Parses a whole number; its range is checked later.
fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("must be a whole number from 1 to {}", Limit::MAX))
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
