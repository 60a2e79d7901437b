//! Forged tokens: each that our own key signed with wrong content, and each way to write a signature that is not ours.

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    app::{App, START},
    tokens::{own_key, read, refused_as_access, refused_as_refresh, signed, tokens, with, without},
};

/// The order of the group of Ed25519, least byte first (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The digits of base64url.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Signs any text as a token, be it JSON or not.
fn signed_text(key: &Ed25519KeyPair, header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Fails unless a token is refused wherever one is taken, and ends no session.
async fn is_nothing(app: &App, token: &str, why: &str) {
    refused_as_access(app, token, why).await;
    refused_as_refresh(app, token, why).await;
    app.anyone().post("/auth/logout", json!({ "refresh_token": token })).await.is(204);
}

#[tokio::test]
async fn a_signature_counts_in_its_one_spelling_alone() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let (message, signature) = access.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for byte in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&flipped));
            refused_as_access(&app, &token, &format!("bit {bit} of byte {byte}")).await;
        }
    }
    // The same number once around the group: a signature that can be made of another one without the key.
    let mut around = bytes.clone();
    let mut carry = 0;
    for (byte, more) in around[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    // The last of 86 characters has four bits to spare.
    let last = ALPHABET.iter().position(|c| Some(c) == signature.as_bytes().last()).unwrap();
    let spare = char::from(ALPHABET[last ^ 1]);
    for (token, why) in [
        (format!("{message}.{}", URL_SAFE_NO_PAD.encode(&around)), "once around"),
        (format!("{message}.{}{spare}", &signature[..signature.len() - 1]), "spare bits"),
        (format!("{message}.{}", URL_SAFE.encode(&bytes)), "padding"),
        (format!("{message}.{}+/", &signature[..signature.len() - 2]), "the other alphabet"),
        (format!("{message}.{signature}\u{a0}"), "a space"),
        (format!("{message}.%{:02X}{}", signature.as_bytes()[0], &signature[1..]), "percent"),
        (format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bytes[..63])), "63 bytes"),
        (format!("{message}.{}", URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat())), "65 bytes"),
        (format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])), "zeros"),
        (format!("{}.{signature}", message.replace('.', "..")), "an empty part"),
        (format!(".{access}"), "a point before"),
        (format!("{access}."), "a point after"),
    ] {
        is_nothing(&app, &token, why).await;
    }
    app.with_token(access).get("/me").await.is(200);
}

#[tokio::test]
async fn no_other_algorithm_makes_a_signature() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    let jwks = app.anyone().get("/.well-known/jwks.json").await.body;
    let x = jwks["keys"][0]["x"].as_str().unwrap().to_owned();
    let raw = URL_SAFE_NO_PAD.decode(&x).unwrap();
    let der = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let secrets = [
        raw.clone(),
        x.into_bytes(),
        der,
        pem.clone().into_bytes(),
        pem.trim().as_bytes().to_vec(),
        jwks.to_string().into_bytes(),
        jwks["keys"][0].to_string().into_bytes(),
        Vec::new(),
        b"secret".to_vec(),
    ];
    for token in [access, refresh] {
        let (header, claims) = read(&token);
        for (alg, kind) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            for (n, secret) in secrets.iter().enumerate() {
                let sign = |m: &[u8]| hmac::sign(&hmac::Key::new(kind, secret), m).as_ref().to_vec();
                let forged = signed(&with(&header, "alg", json!(alg)), &claims, sign);
                is_nothing(&app, &forged, &format!("{alg} with {n}")).await;
            }
        }
        for alg in [
            "none", "None", "NONE", "nOnE", "", "eddsa", "EDDSA", "Ed25519", "Ed448", "ES256", "ES384",
            "RS256", "RS384", "RS512", "PS256", "PS512", "HS256", "HS384", "HS512", "A256GCM", "dir",
        ] {
            let header = with(&header, "alg", json!(alg));
            for (forged, why) in [
                (signed(&header, &claims, |_| Vec::new()), "nothing"),
                (signed(&header, &claims, |m| key.sign(m).as_ref().to_vec()), "our own key"),
            ] {
                is_nothing(&app, &forged, &format!("{alg:?} with {why}")).await;
            }
        }
        for alg in [json!(null), json!(["EdDSA"]), json!(0), json!({ "alg": "EdDSA" })] {
            let forged = signed(&with(&header, "alg", alg), &claims, |m| key.sign(m).as_ref().to_vec());
            is_nothing(&app, &forged, "an algorithm that is no text").await;
        }
        let forged = signed(&without(&header, "alg"), &claims, |m| key.sign(m).as_ref().to_vec());
        is_nothing(&app, &forged, "no algorithm").await;
    }
}

#[tokio::test]
async fn every_field_of_a_signed_header_is_checked() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    for token in [access, refresh] {
        let (header, claims) = read(&token);
        let typ = header["typ"].as_str().unwrap();
        let mut wrong = vec![];
        for kid in [
            json!(""),
            json!(null),
            json!(0),
            json!([header["kid"]]),
            json!("../../etc/passwd"),
            json!("/dev/null"),
            json!("' OR 1=1--"),
            json!("\u{0}"),
            json!(format!("{}\u{0}", header["kid"].as_str().unwrap())),
            json!(header["kid"].as_str().unwrap().to_lowercase()),
            json!(format!(" {}", header["kid"].as_str().unwrap())),
            json!(&header["kid"].as_str().unwrap()[..42]),
            json!("k".repeat(2_000)),
        ] {
            wrong.push(("kid", kid));
        }
        for typ in [
            json!(typ.to_uppercase()),
            json!(format!("application/{typ}")),
            json!(format!("{typ} ")),
            json!("at+jwt,rt+jwt"),
            json!([typ]),
            json!(null),
            json!(""),
            json!("jwt"),
            json!("verify+jwt"),
            json!("dpop+jwt"),
        ] {
            wrong.push(("typ", typ));
        }
        for crit in
            [json!([]), json!(["exp"]), json!(["http://example.com/x"]), json!(["kid", "typ"]), json!("exp")]
        {
            wrong.push(("crit", crit));
        }
        for (name, value) in wrong {
            let forged =
                signed(&with(&header, name, value.clone()), &claims, |m| key.sign(m).as_ref().to_vec());
            is_nothing(&app, &forged, &format!("{name} {value}")).await;
        }
    }
}

#[tokio::test]
async fn every_claim_of_a_signed_token_is_checked() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    let bob = app.signed_in("bob@example.com").await;
    let (_, bobs) = read(bob.token.as_ref().unwrap());
    let now = START.seconds();
    for token in [access, refresh] {
        let (header, claims) = read(&token);
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        let mut wrong = vec![
            ("sub", bobs["sub"].clone()),
            ("sid", bobs["sid"].clone()),
            ("exp", json!(i64::MIN)),
            ("exp", json!(0)),
        ];
        for value in
            [json!(null), json!(true), json!(""), json!([]), json!({}), json!([now + 900]), json!("9e9")]
        {
            wrong.extend(["exp", "iat"].map(|name| (name, value.clone())));
        }
        for value in [json!(1.5), json!(u64::MAX), json!(1e19), json!(4_102_444_800.0)] {
            wrong.extend(["exp", "iat"].map(|name| (name, value.clone())));
        }
        for name in ["iss", "aud", "sub", "sid", "jti"] {
            let whole = text(name);
            for value in [
                json!(null),
                json!(7),
                json!(true),
                json!([whole]),
                json!([]),
                json!({ "x": whole }),
                json!(""),
                json!(format!("{whole} ")),
                json!(format!("{whole}\u{0}")),
                json!(&whole[..whole.len() - 1]),
                json!(format!("{whole}/x")),
            ] {
                if name == "jti" && value.is_string() {
                    continue; // any text is one: of an access token it says nothing, of a refresh token see below
                }
                wrong.push((name, value));
            }
        }
        wrong.push(("iss", json!(text("iss").to_uppercase())));
        wrong.push(("iss", json!(text("iss").replace("http:", "https:"))));
        wrong.push(("iss", json!(format!("{}@evil.example", text("iss")))));
        wrong.push(("aud", json!(text("aud").to_uppercase())));
        wrong.push(("aud", json!("coffee")));
        for (name, value) in wrong {
            let forged =
                signed(&header, &with(&claims, name, value.clone()), |m| key.sign(m).as_ref().to_vec());
            is_nothing(&app, &forged, &format!("{name} {value}")).await;
        }
    }
}

#[tokio::test]
async fn what_we_signed_is_json_and_says_each_thing_once() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    for token in [access, refresh] {
        let (header, claims) = read(&token);
        let (header_text, text) = (header.to_string(), claims.to_string());
        let open = &text[..text.len() - 1];
        let twice = |name: &str, value: &str| format!("{open},\"{name}\":{value}}}").into_bytes();
        let mut wrong: Vec<(Vec<u8>, String)> = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]
            .map(|name| (twice(name, &claims[name].to_string()), format!("{name} twice")))
            .into();
        wrong.push((text.replace("\"exp\":", "\"exp\":1e999,\"x\":").into_bytes(), "exp 1e999".into()));
        wrong.push((text.replace("\"exp\":", "\"exp\":NaN,\"x\":").into_bytes(), "exp NaN".into()));
        wrong.push((text.replace("\"exp\":", "\"exp\":0x7fffffff,\"x\":").into_bytes(), "exp in hex".into()));
        wrong.push((format!("{text}{text}").into_bytes(), "claims twice".into()));
        wrong.push((format!("\u{feff}{text}").into_bytes(), "a mark in front".into()));
        wrong.push((open.as_bytes().to_vec(), "claims that break off".into()));
        wrong.push((b"null".to_vec(), "null".into()));
        wrong.push((b"{}".to_vec(), "an empty object".into()));
        wrong.push((Vec::new(), "nothing".into()));
        wrong.push(([text.as_bytes(), &[0xff]].concat(), "no UTF-8".into()));
        wrong.push((token.clone().into_bytes(), "a token in a token".into()));
        wrong.push((format!("{open},\"x\":{}}}", "[".repeat(2_000)).into_bytes(), "nested".into()));
        for (claims, why) in &wrong {
            is_nothing(&app, &signed_text(&key, header_text.as_bytes(), claims), why).await;
        }
        let open = &header_text[..header_text.len() - 1];
        for (header, why) in [
            (format!("{open},\"alg\":\"none\"}}"), "alg twice"),
            (format!("{open},\"typ\":{}}}", header["typ"]), "typ twice"),
            (format!("{open},\"kid\":\"x\"}}"), "kid twice"),
            (format!("{header_text} {header_text}"), "header twice"),
            ("[]".to_owned(), "an array"),
            (String::new(), "nothing"),
        ] {
            is_nothing(&app, &signed_text(&key, header.as_bytes(), text.as_bytes()), why).await;
        }
    }
}

#[tokio::test]
async fn numbers_at_the_end_of_their_range_break_nothing() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    let sign = |header: &Value, claims: &Value| signed(header, claims, |m| key.sign(m).as_ref().to_vec());
    let (header, claims) = read(&access);
    for (name, value) in
        [("exp", i64::MAX), ("exp", i64::MAX / 1000), ("iat", i64::MIN), ("iat", -1), ("iat", 0)]
    {
        let token = sign(&header, &with(&claims, name, json!(value)));
        let answer = app.with_token(token).get("/me").await;
        assert!(answer.status == 200 || answer.status == 401, "{name} {value}: {}", answer.status);
    }
    // Issued before the clock was set back, from wherever.
    for value in [START.seconds() + 86_400, i64::MAX, i64::MAX / 1000] {
        let token = sign(&header, &with(&claims, "iat", json!(value)));
        app.with_token(token).get("/me").await.is(200);
    }
    let (header, claims) = read(&refresh);
    let token = sign(&header, &with(&claims, "exp", json!(i64::MAX)));
    let answer = app.anyone().post("/auth/refresh", json!({ "refresh_token": token })).await;
    assert!(answer.status == 200 || answer.status == 401, "{}", answer.status);
}

#[tokio::test]
async fn a_role_in_a_token_is_ignored() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let (header, claims) = read(&access);
    let key = own_key(&app);
    let claims = with(&with(&claims, "role", json!("admin")), "status", json!("verified"));
    let token = signed(&header, &claims, |m| key.sign(m).as_ref().to_vec());
    let ann = app.with_token(token);
    assert_eq!(ann.me().await["role"], "user");
    ann.get("/users").await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_token_that_is_too_long_is_refused_before_it_is_read() {
    let app = App::start().await;
    let (access, refresh) = tokens(&app).await;
    let key = own_key(&app);
    let (header, claims) = read(&access);
    let long = |chars: usize| {
        signed(&header, &with(&claims, "x", json!("x".repeat(chars))), |m| key.sign(m).as_ref().to_vec())
    };
    app.with_token(long(20_000)).get("/me").await.refused(431, "headers_too_large");
    let (header, claims) = read(&refresh);
    for (chars, status) in [(7_000, 422), (20_000, 413)] {
        let token =
            signed(&header, &with(&claims, "x", json!("x".repeat(chars))), |m| key.sign(m).as_ref().to_vec());
        app.anyone().post("/auth/refresh", json!({ "refresh_token": token })).await.is(status);
    }
    app.with_token(access).get("/me").await.is(200);
}

#[tokio::test]
async fn a_token_for_later_is_refused_until_then() {
    let app = App::start().await;
    let (access, _) = tokens(&app).await;
    let (header, claims) = read(&access);
    let key = own_key(&app);
    for nbf in [json!(START.seconds() + 600), json!("soon"), json!(null)] {
        let claims = with(&claims, "nbf", nbf.clone());
        let token = signed(&header, &claims, |m| key.sign(m).as_ref().to_vec());
        refused_as_access(&app, &token, &format!("nbf {nbf}")).await;
    }
}
