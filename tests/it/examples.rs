//! The examples of refusals in the API document: each is provoked, and the answer equals the example.

use coffeeshop::core::Error;
use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, Caller, PASSWORD},
    document::openapi,
};

const ANN: &str = "ann@example.com";
const JSON: &str = "application/json";
const UNKNOWN: &str = "01a20484-5510-7459-83e3-5aa42d102753";

/// A shop with everything in it that the refusals need.
struct Shop<'a> {
    app: &'a App,
    boss: Caller<'a>,
    boss_id: String,
    ann: Caller<'a>,
    ann_id: String,
}

/// An operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// A body that fits it.
    body: Option<Value>,
}

impl Operation {
    fn read(document: &Value, method: &str, path: &str, operation: &Value) -> Self {
        let schema = operation["requestBody"]["content"][JSON]["schema"]["$ref"].as_str();
        let schema = schema.map(|name| &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
        Self {
            id: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.to_owned(),
            body: schema.map(|schema| schema["example"].clone()),
        }
    }

    /// Its path, about this user or session.
    fn about(&self, id: &str) -> String {
        self.path.replace("{id}", id)
    }
}

impl<'a> Shop<'a> {
    async fn open(app: &'a App) -> Self {
        let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
        app.sign_up("bob@example.com").await;
        Self { app, boss_id: boss.id().await, boss, ann_id: ann.id().await, ann }
    }

    /// Sends a request that is refused with this code; nothing if it takes more than a request.
    async fn provoke(&self, operation: &Operation, code: &str) -> Option<Answer> {
        let send = async |caller: &Caller<'_>, id: &str, body: Option<Value>| {
            caller.send(operation.method.clone(), &operation.about(id), body).await
        };
        let send_bytes = async |media_type: &str, body: &[u8]| {
            let path = operation.about(&self.ann_id);
            self.boss.send_bytes(operation.method.clone(), &path, media_type, body.to_vec()).await
        };
        let body = operation.body.clone();
        let answer = match code {
            "malformed_request" if body.is_some() => send_bytes(JSON, b"[]").await,
            "malformed_request" => {
                let wrong = if operation.id.starts_with("list_") { "cursor=abc" } else { "verbose=1" };
                let wrong = if operation.path.contains("sessions") { "verbose=1" } else { wrong };
                let path = format!("{}?{wrong}", operation.about(&self.ann_id));
                self.boss.send(operation.method.clone(), &path, None).await
            }
            "payload_too_large" => send_bytes(JSON, &b" ".repeat(16 * 1024 + 1)).await,
            "unsupported_media_type" => send_bytes("text/plain", b"{}").await,
            "validation_failed" => {
                send(&self.boss, &self.ann_id, Some(self.breaking_a_rule(operation).await)).await
            }
            "uri_too_long" => {
                let path = format!("{}?{}", operation.about(UNKNOWN), "x".repeat(9000));
                // Only a request that comes by a network knows its whole address.
                self.boss.clone().from("192.0.2.7").send(operation.method.clone(), &path, body).await
            }
            "headers_too_large" => {
                send(&self.boss.clone().header("x-long", "x".repeat(17_000)), UNKNOWN, body).await
            }
            "invalid_token" | "invalid_refresh_token" | "verification_failed" => {
                send(&self.app.anyone(), UNKNOWN, body).await
            }
            "forbidden" => send(&self.ann, &self.boss_id, body).await,
            "not_found" => send(&self.boss, UNKNOWN, body).await,
            "invalid_credentials" => {
                let mut body = body.unwrap();
                let field = if operation.id == "login" { "password" } else { "current_password" };
                body[field] = json!("something else");
                send(&self.ann, UNKNOWN, Some(body)).await
            }
            "account_disabled" | "email_not_verified" => self.refused_login(code).await,
            "email_taken" => self.taken(operation).await,
            "last_admin" => {
                let body = match operation.id.as_str() {
                    "edit_user" => Some(json!({ "role": "user" })),
                    "delete_me" => Some(json!({ "current_password": PASSWORD })),
                    _ => None,
                };
                send(&self.boss, &self.boss_id, body).await
            }
            _ => return None,
        };
        Some(answer)
    }

    /// A body in which the fields are wrong that the example names.
    async fn breaking_a_rule(&self, operation: &Operation) -> Value {
        let mut body = operation.body.clone().unwrap();
        match operation.id.as_str() {
            "signup" => (body["email"], body["password"]) = (json!("ann"), json!("mocha")),
            "login" | "resend_verification" | "forgot_password" | "invite_user" => {
                body["email"] = json!("ann");
            }
            "verify" => body = json!({ "email": ANN }),
            "reset_password" => return self.weak_reset().await,
            "change_password" => {
                (body["current_password"], body["new_password"]) = (json!(PASSWORD), json!("mocha"));
            }
            "change_email" => body["new_email"] = json!("ann"),
            "edit_me" => body["first_name"] = json!(""),
            "edit_user" => body["role"] = json!("owner"),
            _ => body = json!({}),
        }
        body
    }

    /// A reset with a good link and a password that is too short.
    async fn weak_reset(&self) -> Value {
        let link = self.app.mail(ANN).await;
        json!({ "token": link.token(), "new_password": "mocha" })
    }

    /// A login that is refused after the right password.
    async fn refused_login(&self, code: &str) -> Answer {
        let app =
            self.app.beside(|config| config.auth.allow_unverified_login = code != "email_not_verified").await;
        if code == "account_disabled" {
            app.sign_up("eve@example.com").await;
            let eve = app.log_in("eve@example.com").await.id().await;
            self.boss.patch(&format!("/users/{eve}"), json!({ "disabled": true })).await.is(200);
            return app.log_in_with("eve@example.com", PASSWORD).await;
        }
        app.log_in_with("bob@example.com", PASSWORD).await
    }

    /// A request for an address that an account has.
    async fn taken(&self, operation: &Operation) -> Answer {
        if operation.id == "verify" {
            let change = json!({ "new_email": "carol@example.com", "current_password": PASSWORD });
            self.ann.post("/me/email", change).await.is(202);
            let mail = self.app.mail("carol@example.com").await;
            self.app.sign_up("carol@example.com").await;
            return self.app.anyone().post("/auth/verify", json!({ "token": mail.token() })).await;
        }
        let mut body = operation.body.clone().unwrap();
        body["email"] = json!("bob@example.com");
        self.boss.send(operation.method.clone(), &operation.about(&self.ann_id), Some(body)).await
    }
}

/// The sentence of a refusal that no single request provokes.
fn sentence(code: &str) -> String {
    let error = match code {
        "too_many_requests" => Error::TooManyRequests { retry_after: 900 },
        "unavailable" => Error::Unavailable(String::new()),
        "outcome_unknown" => Error::OutcomeUnknown(String::new()),
        "storage_full" => Error::StorageFull(String::new()),
        "internal" => Error::Internal(String::new()),
        "request_timeout" => return "The request took too long. Send it again.".to_owned(),
        code => panic!("say how {code} comes about"),
    };
    error.to_string()
}

/// All of an answer but the id of its request.
fn without_id(mut problem: Value) -> Value {
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}

#[tokio::test]
async fn each_example_of_a_refusal_is_what_the_program_answers() {
    let document = openapi();
    let (mut provoked, mut wrong) = (0, Vec::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, described) in operations.as_object().unwrap() {
            let app = App::start().await;
            let shop = Shop::open(&app).await;
            app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
            app.printed().await;
            let operation = Operation::read(&document, method, path, described);
            for response in described["responses"].as_object().unwrap().values() {
                let examples = &response["content"]["application/problem+json"]["examples"];
                for (code, example) in examples.as_object().into_iter().flatten() {
                    let example = without_id(example["value"].clone());
                    let answer = match shop.provoke(&operation, code).await {
                        Some(answer) => without_id(answer.body),
                        None => {
                            if example["detail"] != sentence(code) {
                                wrong.push(format!("{} {code}: {example}", operation.id));
                            }
                            continue;
                        }
                    };
                    provoked += 1;
                    if answer != example {
                        wrong.push(format!("{} {code}: {example} and not {answer}", operation.id));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(provoked > 150, "{provoked}");
}
