//! The OpenAPI document: it changes only on purpose, and it is complete.

use std::{collections::BTreeMap, io::Read};

use coffeeshop::{
    api,
    config::{Config, Period},
    domain::{FieldError, Limit},
};
use serde_json::{Value, json};

use crate::{app::App, document::openapi as document};

/// Each operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap();
        methods.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    each.collect()
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(name) => &document["components"]["schemas"][name.rsplit('/').next().unwrap()],
        None => schema,
    }
}

#[test]
fn the_document_changes_only_on_purpose() {
    insta::assert_snapshot!("openapi", format!("{:#}", document()));
}

#[test]
fn every_operation_says_what_it_is_for() {
    let document = document();
    for (name, operation) in operations(&document) {
        assert!(!operation["tags"].as_array().unwrap().is_empty(), "{name}");
        assert!(!operation["operationId"].as_str().unwrap().is_empty(), "{name}");
        let (summary, description) =
            (operation["summary"].as_str().unwrap(), operation["description"].as_str().unwrap_or_default());
        assert!(!summary.is_empty(), "{name}");
        assert!(description.len() > summary.len(), "{name}: {summary}: {description}");
    }
}

#[test]
fn no_two_operations_have_one_id() {
    let document = document();
    let operations = operations(&document);
    let mut ids: Vec<_> = operations.iter().map(|(_, o)| o["operationId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn every_operation_says_how_it_succeeds_and_how_it_fails() {
    let document = document();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        assert!(
            responses["500"]["content"]["application/problem+json"]["examples"]["internal"].is_object(),
            "{name}"
        );
        for (status, response) in responses {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{name} {status}");
            if status.as_str() >= "400" {
                assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status}");
                let content = response["content"].as_object().unwrap();
                assert_eq!(
                    content.keys().collect::<Vec<_>>(),
                    ["application/problem+json"],
                    "{name} {status}"
                );
            }
        }
    }
}

#[test]
fn whatever_needs_a_token_says_so() {
    let document = document();
    for (name, operation) in operations(&document) {
        let open = ["/auth/", "/healthz", "/readyz", "/.well-known/"].iter().any(|path| name.contains(path));
        let open = open && !name.ends_with("/auth/logout-all");
        // An empty way in means that a token may come along, and need not.
        let ways_in = operation.get("security").and_then(Value::as_array);
        let needs_none = ways_in.is_none_or(|ways| ways.contains(&json!({})));
        assert_eq!(needs_none, open, "{name}");
        let may_come_along = ["post /auth/login", "post /auth/verify"].contains(&name.as_str());
        assert_eq!(needs_none && ways_in.is_some(), may_come_along, "{name}");
        let refuses = operation["responses"]["401"]["content"]["application/problem+json"]["examples"]
            .get("invalid_token");
        assert_eq!(refuses.is_none(), open, "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["access_token"]["scheme"], "bearer");
}

#[test]
fn every_body_has_an_example_that_fits_it() {
    let document = document();
    for (name, operation) in operations(&document) {
        let Some(body) = operation.get("requestBody") else { continue };
        let schema = resolve(&document, &body["content"]["application/json"]["schema"]);
        let example = schema["example"].as_object().unwrap_or_else(|| panic!("{name} has no example"));
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for field in example.keys() {
            assert!(schema["properties"][field].is_object(), "{name}: {field}");
        }
        for field in schema["required"].as_array().into_iter().flatten() {
            assert!(example.contains_key(field.as_str().unwrap()), "{name}: {field}");
        }
        for (field, property) in schema["properties"].as_object().unwrap() {
            let described = resolve(&document, property);
            assert!(
                property["description"].is_string()
                    || described["description"].is_string()
                    || property["allOf"].is_array(),
                "{name}: {field}"
            );
            let bounded = described["type"] != "string"
                || described.get("maxLength").is_some()
                || described.get("enum").is_some();
            assert!(bounded, "{name}: {field} has no bound");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_server_gives_the_same_document() {
    let app = App::start().await;
    let answer = app.anyone().get("/openapi.json").await.is(200);
    assert_eq!(answer.body, document());
    assert_eq!(answer.header("content-type"), "application/json");
}

/// The addresses of what the page of the documentation loads.
fn loaded(page: &str) -> Vec<String> {
    let addresses = ["src=\"", "href=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    let addresses = addresses.map(|rest| rest.split('"').next().unwrap().to_owned());
    addresses.filter(|address| address.starts_with("docs/")).collect()
}

#[tokio::test]
async fn the_page_needs_no_other_server_and_no_path_of_its_own() {
    let app = App::start().await;
    let answer = app.anyone().get("/docs").await.is(200);
    assert!(answer.header("content-type").starts_with("text/html"));
    let page = answer.text();
    assert!(page.contains("name=\"viewport\""));
    // Relative, so that they are found behind a proxy that strips a path.
    for name in ["src=", "href="] {
        for (start, _) in page.match_indices(name) {
            let address = page[start..].split('"').nth(1).unwrap();
            let here = ["docs/docs.css?v=", "docs/docs.js?v=", "openapi.json", "data:,"];
            assert!(here.iter().any(|start| address.starts_with(start)), "{address}");
        }
    }
    assert_eq!(loaded(&page).len(), 2);
    for address in loaded(&page) {
        let text = app.anyone().get(&format!("/{address}")).await.is(200).text();
        assert!(text.len() > 100_000, "Swagger UI is in it: {address}");
        for outside in ["@import", "url(http", "url(//"] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
}

#[tokio::test]
async fn what_the_page_loads_is_compressed_and_kept() {
    let app = App::start().await;
    let page = app.anyone().get("/docs").await.is(200).text();
    for address in loaded(&page) {
        let address = format!("/{address}");
        let plain = app.anyone().get(&address).await.is(200);
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
        let packed = app.anyone().header("accept-encoding", "gzip, br").get(&address).await.is(200);
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
        assert!(packed.bytes.len() * 3 < plain.bytes.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text());
        // An address without a version, or with that of another program, may mean something else tomorrow.
        let path = address.split('?').next().unwrap();
        for other in [path.to_owned(), format!("{path}?v=0000000000000000")] {
            assert_eq!(app.anyone().get(&other).await.is(200).header("cache-control"), "no-store");
        }
    }
    for path in ["/docs", "/openapi.json"] {
        let answer = app.anyone().header("accept-encoding", "gzip").get(path).await.is(200);
        assert_eq!((answer.header("content-encoding"), answer.header("cache-control")), ("gzip", "no-store"));
    }
}

#[tokio::test]
async fn the_page_may_run_and_load_nothing_but_its_own_files() {
    let app = App::start().await;
    let answer = app.anyone().get("/docs").await.is(200);
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_document_names_the_path_that_the_shop_is_at() {
    for (public_url, path) in [
        ("http://localhost:8080", "/"),
        ("https://shop.example", "/"),
        ("https://shop.example/accounts", "/accounts"),
        ("https://shop.example:8443/a/b", "/a/b"),
    ] {
        let app = App::with(|config| config.server.public_url = public_url.to_owned()).await;
        let document = app.anyone().get("/openapi.json").await.is(200).body;
        assert_eq!(document["servers"], json!([{ "url": path }]), "{public_url}");
    }
}

#[tokio::test]
async fn every_example_of_a_body_has_the_form_that_is_asked_for() {
    let app = App::start().await;
    let boss = app.admin().await;
    let document = document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(name) = schema.as_str().map(|path| path.rsplit('/').next().unwrap()) else { continue };
            let example = document["components"]["schemas"][name]["example"].clone();
            let path = path.replace("{id}", &boss.id().await);
            let method = method.to_uppercase().parse().unwrap();
            let answer = boss.send(method, &path, Some(example)).await;
            assert_ne!(answer.status, 422, "{path}: {}", answer.body);
        }
    }
}

#[test]
fn an_answer_without_a_body_has_no_content() {
    for (path, operations) in document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = response.get("content");
                assert!(content.is_none_or(serde_json::Value::is_object), "{method} {path}: {status}");
            }
        }
    }
}

/// The schemas that a part of the operations leads to, by name.
fn reached<'d>(document: &'d Value, part: &str) -> BTreeMap<&'d str, &'d Value> {
    fn follow<'d>(document: &'d Value, value: &'d Value, found: &mut BTreeMap<&'d str, &'d Value>) {
        match value {
            Value::Object(members) => {
                if let Some(path) = members.get("$ref").and_then(Value::as_str)
                    && found.insert(path.rsplit('/').next().unwrap(), resolve(document, value)).is_none()
                {
                    follow(document, resolve(document, value), found);
                }
                members.values().for_each(|value| follow(document, value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| follow(document, item, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for (_, operation) in operations(document) {
        follow(document, &operation[part], &mut found);
    }
    found.retain(|_, schema| schema["type"] == "object");
    found
}

#[test]
fn requests_are_closed_and_answers_are_open() {
    let document = document();
    let (sent, received) = (reached(&document, "requestBody"), reached(&document, "responses"));
    assert!(sent.contains_key("EditUser") && received.contains_key("FieldProblem"));
    for (name, schema) in &sent {
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(!received.contains_key(name), "{name} is both sent and received");
    }
    for (name, schema) in &received {
        assert!(schema.get("additionalProperties").is_none(), "{name}");
    }
}

#[test]
fn a_field_that_is_always_there_is_required_even_if_it_may_be_null() {
    let document = document();
    let mut optional = Vec::new();
    for (name, schema) in reached(&document, "responses") {
        let required = schema["required"].as_array().unwrap();
        let fields = schema["properties"].as_object().unwrap().keys();
        optional.extend(
            fields.filter(|field| !required.contains(&json!(field))).map(|field| format!("{name}.{field}")),
        );
    }
    // The first is there only with `validation_failed`, the second only if it was asked for.
    assert_eq!(optional, ["Problem.errors", "UserPage.total"]);
}

#[test]
fn a_reference_with_a_description_is_one_of_that_reference_alone() {
    let document = document();
    let mut described = 0;
    for schema in document["components"]["schemas"].as_object().unwrap().values() {
        for property in
            schema["properties"].as_object().into_iter().flat_map(|properties| properties.values())
        {
            let Some(parts) = property["allOf"].as_array() else { continue };
            assert!(parts.len() == 1 && parts[0].as_object().unwrap().len() == 1, "{property}");
            assert!(parts[0]["$ref"].is_string() && property["description"].is_string(), "{property}");
            described += 1;
        }
    }
    assert!(described > 5);
}

#[test]
fn the_codes_of_problems_are_listed() {
    let document = document();
    let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    let problem = &document["components"]["schemas"]["Problem"]["properties"]["code"];
    assert_eq!(resolve(&document, problem)["enum"].as_array(), Some(codes));
    let field_problem = &document["components"]["schemas"]["FieldProblem"]["properties"]["code"];
    assert_eq!(resolve(&document, field_problem)["enum"], json!(FieldError::CODES));
    for (name, operation) in operations(&document) {
        for response in operation["responses"].as_object().unwrap().values() {
            let examples = &response["content"]["application/problem+json"]["examples"];
            for code in examples.as_object().into_iter().flat_map(|examples| examples.keys()) {
                assert!(codes.contains(&json!(code)), "{name}: {code}");
            }
        }
    }
}

/// Every description in the document.
fn descriptions(value: &Value) -> Vec<&str> {
    let members = value.as_object().into_iter().flatten();
    let own = members.filter(|(name, _)| *name == "description").filter_map(|(_, text)| text.as_str());
    let within = value.as_object().into_iter().flat_map(|object| object.values());
    let within = within.chain(value.as_array().into_iter().flatten());
    own.chain(within.flat_map(descriptions)).collect()
}

#[test]
fn every_error_in_a_description_is_among_the_responses() {
    let document = document();
    let mut errors = 0;
    for (name, operation) in operations(&document) {
        let description = operation["description"].as_str().unwrap();
        let items = description.lines().filter_map(|line| line.strip_prefix("- `"));
        for item in items {
            let (status, code) = item.split('`').next().unwrap().split_once(' ').unwrap();
            let examples = &operation["responses"][status]["content"]["application/problem+json"]["examples"];
            assert!(examples[code].is_object(), "{name}: {status} {code}");
            errors += 1;
        }
        assert!(!description.contains("- `") || description.contains("\n\nErrors:\n- `"), "{name}");
    }
    assert!(errors > 30, "{errors}");
}

#[test]
fn the_document_quotes_the_settings() {
    let mut config = Config::default();
    config.verification.code_ttl = Period::minutes(7);
    config.password.min_length = 11;
    let document = api::openapi(&config);
    let descriptions = descriptions(&document);
    for text in ["valid for 7 minutes", "11 to 256 characters", "at most 120 sessions", "at most 254 bytes"] {
        assert!(descriptions.iter().any(|description| description.contains(text)), "{text}");
    }
    for description in descriptions {
        let braces = description.replace("/{id}", "");
        assert!(!braces.contains(['{', '}']), "a placeholder without a figure: {description}");
    }
}

#[test]
fn pages_are_limited_as_the_document_says() {
    let document = document();
    for path in ["/users", "/audit"] {
        let limit = &document["paths"][path]["get"]["parameters"][0];
        let bounds = ["minimum", "maximum"].map(|name| limit["schema"][name].as_f64().unwrap());
        assert_eq!((limit["name"].as_str(), bounds), (Some("limit"), [1.0, f64::from(Limit::MAX)]), "{path}");
    }
}
