//! Tokens: their content, their lifetime, and that only our own signature makes one.

use std::time::Duration;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, MOMENT, START};
use crate::sql::bytes;

const ANN: &str = "ann@example.com";

/// The two tokens of a new user.
pub async fn tokens(app: &App) -> (String, String) {
    app.sign_up(ANN).await;
    let tokens = app.tokens(ANN).await;
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// Header and claims.
pub fn read(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(str::to_owned);
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    (decoded(&header), decoded(&claims))
}

pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub fn with(value: &Value, name: &str, changed: Value) -> Value {
    let mut value = value.clone();
    value[name] = changed;
    value
}

pub fn without(value: &Value, name: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(name);
    value
}

/// The shop's own key, read with the database and the installation secret.
pub fn own_key(app: &App) -> Ed25519KeyPair {
    let secret = app.sql.secret();
    let sealing = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), b"coffeeshop sealing v1");
    let kid: String = app.stored("SELECT kid FROM signing_keys");
    let sealed = bytes(&app.stored::<String>("SELECT private_key FROM signing_keys"));
    let (nonce, sealed) = sealed.split_at(NONCE_LEN);
    let mut key = sealed.to_vec();
    let label = format!("signing key {kid}");
    let key = RandomizedNonceKey::new(&AES_256_GCM, sealing.as_ref())
        .unwrap()
        .open_in_place(Nonce::try_assume_unique_for_key(nonce).unwrap(), Aad::from(&label), &mut key)
        .unwrap();
    Ed25519KeyPair::from_pkcs8(key).unwrap()
}

pub async fn refused_as_access(app: &App, token: &str, why: &str) {
    let answer = app.with_token(token).get("/me").await;
    assert_eq!((answer.status, &answer.body["code"]), (401, &json!("invalid_token")), "{why}");
}

pub async fn refused_as_refresh(app: &App, token: &str, why: &str) {
    let answer = app.anyone().post("/auth/refresh", json!({ "refresh_token": token })).await;
    assert_eq!((answer.status, &answer.body["code"]), (401, &json!("invalid_refresh_token")), "{why}");
}

#[tokio::test]
async fn an_access_token_says_who_and_until_when() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let (header, claims) = read(&access);
    let user = app.with_token(&access).me().await;
    let now = START.seconds();
    let jwks = app.anyone().get("/.well-known/jwks.json").await.is(200).body;
    assert_eq!(header, json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": jwks["keys"][0]["kid"] }));
    let expected = json!({
        "iss": "http://localhost:8080",
        "aud": "coffeeshop",
        "sub": user["id"],
        "sid": claims["sid"],
        "jti": claims["jti"],
        "iat": now,
        "exp": now + 900,
        "role": "user",
        "status": "unverified",
    });
    assert_eq!(claims, expected);
    claims["sid"].as_str().unwrap().parse::<Uuid>().unwrap();
    let (_, next) = read(app.log_in(ANN).await.token.as_ref().unwrap());
    assert_ne!(next["jti"], claims["jti"]);
    assert_ne!(next["sid"], claims["sid"]);
}

#[tokio::test]
async fn a_refresh_token_says_no_more_than_its_session_needs() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let ((header, claims), (_, access)) = (read(&refresh), read(&access));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("rt+jwt"), &json!("EdDSA")));
    let now = START.seconds();
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 30 * 86_400)));
    for name in ["iss", "sub", "sid"] {
        assert_eq!(claims[name], access[name], "{name}");
    }
    assert_eq!(claims["aud"], "http://localhost:8080/auth/refresh", "no other service takes it");
    assert_ne!(claims["jti"], access["jti"]);
    assert_eq!(claims.as_object().unwrap().len(), 7);
}

#[tokio::test]
async fn role_and_status_are_those_at_the_time_of_issue() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (_, claims) = read(boss.token.as_ref().unwrap());
    assert_eq!((&claims["role"], &claims["status"]), (&json!("admin"), &json!("verified")));
}

#[tokio::test]
async fn the_public_keys_check_the_signature() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let keys = app.anyone().get("/.well-known/jwks.json").await.is(200).body["keys"].clone();
    let [key] = &keys.as_array().unwrap()[..] else { panic!("one key") };
    let names = ["kty", "crv", "use", "alg"].map(|name| key[name].as_str().unwrap());
    assert_eq!(names, ["OKP", "Ed25519", "sig", "EdDSA"]);
    assert_eq!(key["d"], Value::Null);
    let key = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let (message, signature) = access.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let checking = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, key);
    checking.verify(message.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn an_access_token_lives_for_15_minutes() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    app.wait_nearly(Duration::from_mins(15));
    app.with_token(&access).get("/me").await.is(200);
    app.wait(MOMENT);
    app.with_token(&access).get("/me").await.refused(401, "invalid_token");
}

#[tokio::test]
async fn neither_token_stands_for_the_other() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    refused_as_access(&app, &refresh, "a refresh token").await;
    refused_as_refresh(&app, &access, "an access token").await;
    app.with_token(&access).get("/me").await.is(200);
}

#[tokio::test]
async fn a_token_counts_in_the_header_alone() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    for path in [format!("/me?access_token={access}"), format!("/me?token={access}")] {
        app.anyone().get(&path).await.refused(401, "invalid_token");
    }
    let cookie = format!("access_token={access}");
    app.anyone().header("cookie", cookie).get("/me").await.refused(401, "invalid_token");
}

#[tokio::test]
async fn what_is_no_bearer_token_is_refused() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        access.clone(),
        format!("Basic {access}"),
        format!("Token {access}"),
        format!("Bearer {access} {access}"),
        "Basic YW5uOm1vY2hh".to_owned(),
    ] {
        let answer = app.anyone().header("authorization", header.as_str()).get("/me").await;
        let answer = answer.refused(401, "invalid_token");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{header}");
    }
    app.anyone().header("authorization", format!("bearer {access}")).get("/me").await.is(200);
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let parts: Vec<_> = access.split('.').collect();
    for part in 0..3 {
        for place in [0, parts[part].len() / 2, parts[part].len() - 2] {
            let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            let other = if parts[part].as_bytes()[place] == b'A' { "B" } else { "A" };
            changed[part].replace_range(place..=place, other);
            refused_as_access(&app, &changed.join("."), &format!("part {part} at {place}")).await;
        }
    }
    for (token, why) in [
        (format!("{}.{}.", parts[0], parts[1]), "no signature"),
        (format!("{}.{}", parts[0], parts[1]), "two parts"),
        (format!("{access}.{}", parts[2]), "four parts"),
        (format!("{access}A"), "longer"),
        (format!("{access}=="), "padded"),
        (access[..access.len() - 1].to_owned(), "shorter"),
        (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)), "a signature of zeros"),
        ("..".to_owned(), "empty parts"),
        ("x".repeat(5_000), "long"),
    ] {
        refused_as_access(&app, &token, why).await;
    }
}

#[tokio::test]
async fn a_token_that_another_signed_is_refused() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let other = Ed25519KeyPair::generate().unwrap();
    let x: String =
        app.anyone().get("/.well-known/jwks.json").await.body["keys"][0]["x"].as_str().unwrap().into();
    let public = URL_SAFE_NO_PAD.decode(&x).unwrap();
    for (token, is_access) in [(access, true), (refresh, false)] {
        let (header, claims) = read(&token);
        let hmac_with = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            move |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec()
        };
        let hs256 = with(&header, "alg", json!("HS256"));
        let none = |word: &str| signed(&with(&header, "alg", json!(word)), &claims, |_| Vec::new());
        let other_signed = |header: &Value| signed(header, &claims, |m| other.sign(m).as_ref().to_vec());
        let own_jwk =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(other.public_key()) });
        for (forged, why) in [
            (none("none"), "alg none"),
            (none("None"), "alg None"),
            (none("EdDSA"), "no signature"),
            (signed(&hs256, &claims, hmac_with(&public)), "HS256 with the bytes of the public key"),
            (signed(&hs256, &claims, hmac_with(x.as_bytes())), "HS256 with the text of the public key"),
            (signed(&header, &claims, hmac_with(&public)), "HMAC under EdDSA"),
            (other_signed(&header), "another key"),
            (other_signed(&with(&header, "kid", json!("other"))), "another key under another name"),
            (other_signed(&without(&header, "kid")), "another key without a name"),
            (other_signed(&with(&header, "jwk", own_jwk)), "another key that it brings along"),
            (
                other_signed(&with(&header, "jku", json!("http://localhost/jwks.json"))),
                "another key to fetch",
            ),
        ] {
            if is_access {
                refused_as_access(&app, &forged, why).await;
            } else {
                refused_as_refresh(&app, &forged, why).await;
            }
        }
    }
}

#[tokio::test]
async fn a_signed_token_with_wrong_claims_is_refused() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    let sign = |header: &Value, claims: &Value| signed(header, claims, |m| key.sign(m).as_ref().to_vec());
    let now = START.seconds();
    let refresh_audience = "http://localhost:8080/auth/refresh";
    for (token, is_access) in [(access, true), (refresh, false)] {
        let (header, claims) = read(&token);
        let changed = |name, value| sign(&header, &with(&claims, name, value));
        let under = |name, value| sign(&with(&header, name, value), &claims);
        let lacking = |name| (sign(&header, &without(&claims, name)), format!("no {name}"));
        let forged = [
            (under("crit", json!(["exp"])), "crit"),
            (under("crit", json!(["b64"])), "crit b64"),
            (under("kid", json!("other")), "an unknown key"),
            (sign(&without(&header, "kid"), &claims), "no kid"),
            (under("typ", json!("JWT")), "typ JWT"),
            (sign(&without(&header, "typ"), &claims), "no typ"),
            (under("typ", json!(if is_access { "rt+jwt" } else { "at+jwt" })), "the other typ"),
            (under("alg", json!("none")), "alg none"),
            (under("alg", json!("HS256")), "alg HS256"),
            (under("alg", json!("RS256")), "alg RS256"),
            (changed("iss", json!("http://localhost:8081")), "another issuer"),
            (changed("iss", json!("http://localhost:8080/")), "nearly the issuer"),
            (changed("iss", json!(["http://localhost:8080"])), "issuers"),
            (changed("aud", json!("teashop")), "another audience"),
            (
                changed("aud", json!(if is_access { refresh_audience } else { "coffeeshop" })),
                "the other audience",
            ),
            (changed("aud", json!(["coffeeshop"])), "audiences"),
            (changed("aud", json!(["teashop", "coffeeshop"])), "more audiences"),
            (changed("exp", json!(now)), "expired now"),
            (changed("exp", json!((now + 900).to_string())), "exp as text"),
            (changed("exp", json!(900.5 + 1e9)), "exp with a fraction"),
            (changed("exp", json!(1e300)), "exp beyond every number"),
            (changed("exp", json!(null)), "exp null"),
            (changed("exp", json!(-1)), "exp before 1970"),
            (changed("sub", json!(Uuid::now_v7().to_string())), "of another user"),
            (changed("sub", json!("ann")), "of no id"),
            (changed("sid", json!(Uuid::now_v7().to_string())), "of another session"),
            (changed("jti", json!(7)), "jti as a number"),
            (sign(&header, &json!([claims])), "claims in an array"),
        ];
        let lacking = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"].map(lacking);
        let forged = forged.map(|(token, why)| (token, why.to_owned())).into_iter().chain(lacking);
        for (forged, why) in forged {
            if is_access {
                refused_as_access(&app, &forged, &why).await;
            } else {
                refused_as_refresh(&app, &forged, &why).await;
            }
        }
        let same = sign(&header, &claims);
        assert_eq!(same, token, "what is refused above differs in its words alone");
        if is_access {
            app.with_token(same).get("/me").await.is(200);
        } else {
            app.anyone().post("/auth/refresh", json!({ "refresh_token": same })).await.is(200);
        }
    }
}

#[tokio::test]
async fn an_unknown_jti_under_our_own_signature_ends_the_session() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let (header, claims) = read(&refresh);
    let key = own_key(&app);
    let forged = signed(&header, &with(&claims, "jti", json!("x")), |m| key.sign(m).as_ref().to_vec());
    refused_as_refresh(&app, &forged, "another jti").await;
    refused_as_access(&app, &access, "its session ended").await;
}

#[tokio::test]
async fn an_access_token_for_another_audience_is_refused() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let other = app.beside(|config| config.auth.audience = "teashop".to_owned()).await;
    refused_as_access(&other, &access, "an access token from elsewhere").await;
    let theirs = other.tokens(ANN).await;
    refused_as_access(&app, theirs["access_token"].as_str().unwrap(), "the other way round").await;
    app.with_token(&access).get("/me").await.is(200);
}

#[tokio::test]
async fn a_shop_takes_the_tokens_of_its_twin() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    app.beside(|_| {}).await.with_token(access).get("/me").await.is(200);
}

#[tokio::test]
async fn a_token_of_another_shop_is_refused() {
    let (app, other) = (App::start().await, App::start().await);
    let (access, refresh) = tokens(&other).await;
    tokens(&app).await;
    refused_as_access(&app, &access, "an access token").await;
    refused_as_refresh(&app, &refresh, "a refresh token").await;
}
