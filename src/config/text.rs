//! Cleans texts of settings that were pasted; the rules are in `domain::typed`.

use toml::Value;

use crate::domain::typed;

/// A value without the spaces around its texts.
///
/// # Errors
/// The rest of a sentence, if a text contains an invisible character.
pub(super) fn cleaned(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let text = typed::trimmed(&text);
            match typed::needless_invisible(&text) {
                Some(hidden) => Err(format!("must not contain {}", typed::describe_invisible(hidden))),
                None => Ok(Value::String(text)),
            }
        }
        Value::Array(items) => items.into_iter().map(cleaned).collect::<Result<_, _>>().map(Value::Array),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn environment(name: &str, value: &str) -> Result<Config, String> {
        Config::load(None, [(name.into(), value.into())]).map_err(|e| e.to_string())
    }

    #[test]
    fn an_invisible_character_in_a_setting_is_refused_and_named() {
        for c in (char::MIN..=char::MAX)
            .filter(|c| crate::domain::typed::is_invisible(*c) && *c != '\0')
            .step_by(31)
        {
            let refused = environment("COFFEESHOP_SERVER__PUBLIC_URL", &format!("https://a{c}b.example"));
            let number = format!("U+{:04X}", u32::from(c));
            assert!(refused.is_err_and(|why| why.contains(&number)), "{c:?}");
        }
        for (name, value) in [
            ("COFFEESHOP_SERVER__CORS_ORIGINS", "https://a.example, https://b\u{ad}.example"),
            ("COFFEESHOP_DATABASE__PATH", "data/\u{202e}shop.db"),
            ("COFFEESHOP_MESSAGES__SHOP_NAME", "Blue\nCup"),
        ] {
            assert!(
                environment(name, value).expect_err("wrong").contains("the invisible character"),
                "{name}"
            );
        }
    }
}
