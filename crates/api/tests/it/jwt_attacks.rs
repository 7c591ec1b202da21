//! Known attacks with forged tokens, against an API that accepts tokens signed with a secret and
//! tokens signed by an issuer.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Issuer, Signer, Stage, Token, until};

struct Scene {
    stage: Stage,
    rsa: Signer,
    elliptic: Signer,
    /// Server of the attacker, which returns the attacker's own key set to all callers.
    attacker: Issuer,
    attackers_key: Signer,
    _issuer: Issuer,
}

impl Scene {
    async fn set() -> Self {
        let rsa = Signer::new("rsa", Algorithm::RS256);
        let elliptic = Signer::new("elliptic", Algorithm::ES256);
        let attackers_key = Signer::new("rsa", Algorithm::RS256);
        let issuer = Issuer::of(&[&rsa, &elliptic]);
        let attacker = Issuer::of(&[&attackers_key]);
        let stage = Stage::with_flags(&[issuer.flag()]).await;
        until("the keys have been read", || async {
            issuer.request_count() > 0
        })
        .await;
        Self {
            stage,
            rsa,
            elliptic,
            attacker,
            attackers_key,
            _issuer: issuer,
        }
    }

    /// Asserts that the API refuses all these tokens, stores nothing, and sends no request to the
    /// attacker's server.
    async fn refuses_all(&self, forged: Vec<(String, String)>) {
        let before = self.stage.rows().await;
        for (what, token) in forged {
            let (status, answer) = self
                .stage
                .client
                .get_raw("/api/v1/whoop/daily-data/alice", &token)
                .await;
            assert!(
                (400..500).contains(&status) && !answer.contains("recovery"),
                "{what}: {answer}"
            );
            if token.len() < 8_000 && !token.contains(['\r', '\n', '\0']) {
                assert_eq!(status, 401, "{what}: {answer}");
                assert!(answer.contains("application/problem+json"), "{what}");
            }
        }
        self.stage
            .rows()
            .await
            .assert_unchanged(&before, "a forged token");
        assert_eq!(
            self.attacker.request_count(),
            0,
            "no request was sent to an address in a token"
        );
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims() -> Value {
    Token::of("alice").claims().clone()
}

fn unsigned(header: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", part(header), part(&claims()))
}

/// Returns a token that is signed with HMAC. `secret` contains bytes that are public, such as a
/// public key.
fn hmac(header: &Header, secret: &[u8]) -> String {
    encode(header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
}

fn pem(der: &[u8], of: &str) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {of}-----\n{}\n-----END {of}-----\n",
        lines.join("\n")
    )
}

#[tokio::test]
async fn a_token_without_a_signature_algorithm_is_refused() {
    let scene = Scene::set().await;
    let mut forged = Vec::new();
    for word in ["none", "None", "NONE", "nOnE", "", "null", "NonE\u{0}"] {
        for signature in ["", "AAAA", "e30"] {
            let header = json!({"alg": word, "typ": "JWT", "kid": "rsa"});
            forged.push((format!("alg {word:?}"), unsigned(&header, signature)));
        }
    }
    for header in [
        json!({"typ": "JWT"}),
        json!({"alg": null}),
        json!({"alg": ["HS256"]}),
        json!({"alg": {"": ""}}),
        json!({"alg": 256}),
        json!([]),
        json!("HS256"),
    ] {
        forged.push((header.to_string(), unsigned(&header, "")));
    }
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn a_public_key_is_not_accepted_as_an_hs256_secret() {
    let scene = Scene::set().await;
    let mut forged = Vec::new();
    for signer in [&scene.rsa, &scene.elliptic] {
        let jwk = signer.jwk();
        let bytes = |name: &str| {
            let text = jwk[name].as_str().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let raw = [bytes("n"), bytes("e"), bytes("x"), bytes("y")].concat();
        for secret in [
            jwk.to_string().into_bytes(),
            json!({"keys": [jwk]}).to_string().into_bytes(),
            raw.clone(),
            pem(&raw, "PUBLIC KEY").into_bytes(),
            pem(&raw, "RSA PUBLIC KEY")
                .trim_end()
                .to_owned()
                .into_bytes(),
            bytes("n"),
            bytes("x"),
            jwk["n"].as_str().unwrap_or("x").as_bytes().to_vec(),
            b"".to_vec(),
        ] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header {
                    kid: Some(signer.id.clone()),
                    ..Header::new(algorithm)
                };
                forged.push((
                    format!("{algorithm:?} by a public key"),
                    hmac(&header, &secret),
                ));
            }
        }
    }
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn keys_inside_a_token_are_ignored() {
    let scene = Scene::set().await;
    let key = &scene.attackers_key;
    let own = Header::new(Algorithm::RS256);
    let jwk = serde_json::from_value(key.jwk()).unwrap();
    let named = Some(scene.rsa.id.clone());
    let url = Some(scene.attacker.url.clone());
    let headers = [
        Header {
            jwk: Some(jwk),
            ..own.clone()
        },
        Header {
            jku: url.clone(),
            kid: named.clone(),
            ..own.clone()
        },
        Header {
            x5u: url,
            kid: named.clone(),
            ..own.clone()
        },
        Header {
            x5c: Some(vec![STANDARD.encode("a certificate")]),
            kid: named.clone(),
            ..own.clone()
        },
        Header {
            kid: named,
            ..own.clone()
        },
        Header {
            kid: None,
            ..own.clone()
        },
        Header {
            crit: Some(vec!["exp".to_owned()]),
            ..own
        },
    ];
    let alice = Token::of("alice");
    let mut forged: Vec<_> = headers
        .iter()
        .map(|header| (format!("{header:?}"), key.sign_under(&alice, header)))
        .collect();
    // The key is valid, but the header requires an extension that the API does not support.
    let critical = Header {
        kid: Some(scene.rsa.id.clone()),
        crit: Some(vec!["b64".to_owned()]),
        ..Header::new(Algorithm::RS256)
    };
    forged.push(("crit".to_owned(), scene.rsa.sign_under(&alice, &critical)));
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn a_key_id_is_only_compared_and_never_opened() {
    let scene = Scene::set().await;
    let names = [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "' OR '1'='1",
        "x' UNION SELECT 'known' -- ",
        "rsa\u{0}",
        "rsa ",
        "RSA",
        "",
        "| sleep 10 |",
        "http://127.0.0.1:1/keys",
        &"k".repeat(4_000),
    ];
    let forged = names
        .into_iter()
        .flat_map(|name| {
            let header = |algorithm| Header {
                kid: Some(name.to_owned()),
                ..Header::new(algorithm)
            };
            let alice = Token::of("alice");
            let by_us = scene
                .attackers_key
                .sign_under(&alice, &header(Algorithm::RS256));
            [
                (format!("kid {name:?}"), by_us),
                (
                    format!("kid {name:?}, no secret"),
                    hmac(&header(Algorithm::HS256), b""),
                ),
            ]
        })
        .collect();
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn a_signature_must_match_the_text_and_the_key() {
    let scene = Scene::set().await;
    let alice = Token::of("alice");
    let mut forged = Vec::new();
    for signer in [&scene.rsa, &scene.elliptic] {
        let good = signer.sign(&alice);
        let (text, signature) = good.rsplit_once('.').unwrap();
        let bobs = signer.sign(&Token::of("bob"));
        let (_, of_bob) = bobs.rsplit_once('.').unwrap();
        let length = URL_SAFE_NO_PAD.decode(signature).unwrap().len();
        let zeros = URL_SAFE_NO_PAD.encode(vec![0_u8; length]);
        for (what, other) in [
            ("of another token", of_bob.to_owned()),
            ("stripped", String::new()),
            ("of zeros", zeros),
            ("of ones", URL_SAFE_NO_PAD.encode(vec![0xFF_u8; length])),
            (
                "in DER",
                URL_SAFE_NO_PAD.encode([0x30, 6, 2, 1, 0, 2, 1, 0]),
            ),
            ("cut", signature[..signature.len() - 8].to_owned()),
            ("doubled", format!("{signature}{signature}")),
            ("padded", format!("{signature}==")),
        ] {
            forged.push((format!("a signature {what}"), format!("{text}.{other}")));
        }
        // The header names the other key, which has another algorithm.
        let mut header = Header::new(signer.algorithm);
        header.kid = Some(signer.id.clone());
        let crossed = match signer.algorithm {
            Algorithm::RS256 => "elliptic",
            _ => "rsa",
        };
        header.kid = Some(crossed.to_owned());
        forged.push((
            "another's name".to_owned(),
            signer.sign_under(&alice, &header),
        ));
        forged.push(("a dot more".to_owned(), format!("{good}.")));
        forged.push(("a part more".to_owned(), format!("{good}.e30")));
        forged.push(("no dots".to_owned(), good.replace('.', "")));
        forged.push(("a blank inside".to_owned(), good.replacen('.', " .", 1)));
        forged.push((
            "encrypted".to_owned(),
            format!("{}....", part(&json!({"alg": "dir", "enc": "A256GCM"}))),
        ));
        let parts: Vec<&str> = good.split('.').collect();
        let json_form = json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]});
        forged.push(("as JSON".to_owned(), json_form.to_string()));
        forged.push((
            "a megabyte".to_owned(),
            format!("{text}.{}", "A".repeat(1 << 20)),
        ));
        forged.push((
            "a new line".to_owned(),
            format!("{text}.\r\nX-Other: {signature}"),
        ));
    }
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn claims_of_the_wrong_type_are_refused() {
    let scene = Scene::set().await;
    let forged = [
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(true)),
        ("exp", json!([9_999_999_999_i64])),
        ("exp", json!({"": 1})),
        ("nbf", json!(99_999_999_999_i64)),
        ("sub", json!("")),
        ("sub", json!(" ")),
        ("sub", json!(null)),
        ("sub", json!(1)),
        ("sub", json!(["alice"])),
        ("sub", json!({"alice": true})),
        ("sub", json!("alice\u{0}")),
        ("sub", json!("a".repeat(129))),
        ("aud", json!("")),
        ("aud", json!([])),
        ("aud", json!(["anon", "service_role"])),
        ("aud", json!({"authenticated": true})),
    ]
    .into_iter()
    .flat_map(|(claim, value)| {
        let token = Token::of("alice").with(claim, value.clone());
        let what = format!("{claim}: {value}");
        [
            (what.clone(), token.text()),
            (what, scene.elliptic.sign(&token)),
        ]
    })
    // A user id of blanks is valid but belongs to no member, so the API answers 403 without data.
    .filter(|(what, _)| what != "sub: \" \"")
    .collect();
    scene.refuses_all(forged).await;
}

#[tokio::test]
async fn a_token_with_two_subjects_and_a_wrong_signature_is_refused() {
    let scene = Scene::set().await;
    let mut claims = claims().to_string();
    claims.insert_str(1, r#""sub":"mallory","#);
    let header = part(&json!({"alg": "HS256"}));
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&claims));
    let key = EncodingKey::from_secret(b"not the secret of these members");
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();

    scene
        .refuses_all(vec![(
            "two subjects".to_owned(),
            format!("{text}.{signature}"),
        )])
        .await;
}

#[tokio::test]
async fn a_token_with_any_changed_character_is_refused() {
    let scene = Scene::set().await;
    for good in [
        Token::of("alice").text(),
        scene.elliptic.sign(&Token::of("alice")),
    ] {
        let forged = (0..good.len())
            .filter(|at| good.as_bytes()[*at] != b'.')
            .map(|at| {
                let mut other = good.clone();
                let letter = if &good[at..=at] == "A" { "B" } else { "A" };
                other.replace_range(at..=at, letter);
                (format!("letter {at}"), other)
            })
            .collect();
        scene.refuses_all(forged).await;
    }
}
