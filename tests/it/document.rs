//! Every answer in every test must be one that the OpenAPI document announces.

use coffeeshop::{api, config::Config};
use poem::http::Method;
use serde_json::Value;

use crate::app::Answer;

pub struct Document(Value);

/// The document of the default settings.
pub fn openapi() -> Value {
    api::openapi(&Config::default())
}

impl Document {
    pub fn read() -> Self {
        Self(openapi())
    }

    /// Fails the test unless the document has this answer to this request.
    #[track_caller]
    pub fn allows(&self, method: &Method, path: &str, answer: &Answer) {
        assert_ne!(answer.header("x-request-id"), "", "{method} {path}: no request id");
        let path = path.split('?').next().unwrap();
        if *method == Method::HEAD || *method == Method::OPTIONS && answer.status == 204 {
            return; // HTTP's own, and CORS's: not for a document to say
        }
        let Some(operation) = self.operation(method, path) else {
            // What the document does not have is nowhere, or not with this method.
            assert!(
                [404, 405].contains(&answer.status) || is_page(path),
                "{method} {path}: {}",
                answer.status
            );
            return;
        };
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path}: {} is not in the document: {}",
            answer.status,
            answer.body
        );
        let media_type = answer.header("content-type").split(';').next().unwrap();
        if answer.bytes.is_empty() {
            assert!(response["content"].is_null(), "{method} {path}: {} has no body", answer.status);
            return;
        }
        let content = &response["content"][media_type];
        assert!(
            content.is_object(),
            "{method} {path}: {} as {media_type} is not in the document",
            answer.status
        );
        if answer.status >= 400 {
            let codes = content["examples"].as_object().unwrap();
            let code = answer.body["code"].as_str().unwrap();
            assert!(codes.contains_key(code), "{method} {path}: {code} is not in the document");
        }
        self.fits(&answer.body, &content["schema"], &format!("{method} {path}"));
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let paths = self.0["paths"].as_object().unwrap();
        let item = paths.iter().find(|(template, _)| is_like(template, path))?.1;
        item.get(method.as_str().to_lowercase())
    }

    /// Fails the test unless a value has the form of a schema: types, required and no other properties (a client ignores
    /// what it does not know; that the document knows everything is for us to hold), enums.
    #[track_caller]
    fn fits(&self, value: &Value, schema: &Value, at: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.fits(value, &self.0["components"]["schemas"][name], at);
        }
        if value.is_null() {
            assert_eq!(schema["nullable"], true, "{at} is null");
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fits(value, part, at);
        }
        match schema["type"].as_str() {
            Some("object") => {
                let properties = schema["properties"].as_object().unwrap();
                for name in schema["required"].as_array().into_iter().flatten() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at} has no {name}");
                }
                for (name, value) in value.as_object().unwrap() {
                    let schema =
                        properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the document"));
                    self.fits(value, schema, &format!("{at}.{name}"));
                }
            }
            Some("array") => {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|item| self.fits(item, &schema["items"], &format!("{at}[]")));
            }
            Some("string") => {
                assert!(value.is_string(), "{at} is {value}");
                let choices = schema["enum"].as_array();
                assert!(choices.is_none_or(|choices| choices.contains(value)), "{at} is {value}");
            }
            Some("integer") => assert!(value.is_i64() || value.is_u64(), "{at} is {value}"),
            Some("boolean") => assert!(value.is_boolean(), "{at} is {value}"),
            _ => {}
        }
    }
}

fn is_page(path: &str) -> bool {
    let of_docs = ["/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json"];
    of_docs.contains(&path) || ["/verify", "/reset", "/pages.css"].contains(&path)
}

fn is_like(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t == p || t.starts_with('{'))
}
