//! A simulated issuer, which signs the members' JWTs and publishes its public keys.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair,
    },
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

use super::Token;

/// A generated key pair, with which an issuer signs tokens.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(id: &str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                EncodingKey::from_ed_der(der.as_ref())
            }
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                // The RSA key itself begins after the PKCS#8 header of 26 bytes.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
        };
        Self {
            id: id.to_owned(),
            algorithm,
            key,
        }
    }

    /// Returns the public key in the form in which the issuer publishes it (JWK).
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn sign(&self, token: &Token) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        self.sign_under(token, &header)
    }

    pub(crate) fn sign_under(&self, token: &Token, header: &Header) -> String {
        encode(header, token.claims(), &self.key).unwrap()
    }
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> EncodingKey {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    EncodingKey::from_ec_der(der.as_ref())
}

/// An HTTP server that gives the same response to all requests, and counts them.
pub(crate) struct Issuer {
    pub(crate) url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    requests: Arc<AtomicUsize>,
    server: ServerHandle,
}

impl Issuer {
    pub(crate) fn of(signers: &[&Signer]) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, set_of(signers))));
        let requests = Arc::new(AtomicUsize::new(0));
        let (current_answer, request_counter) = (Arc::clone(&answer), Arc::clone(&requests));
        let server = HttpServer::new(move || {
            let (current_answer, request_counter) =
                (Arc::clone(&current_answer), Arc::clone(&request_counter));
            App::new().default_service(web::to(move || {
                request_counter.fetch_add(1, Ordering::SeqCst);
                let (status, body) = current_answer.lock().unwrap().clone();
                async move {
                    HttpResponse::build(status)
                        .content_type("application/json")
                        .insert_header(("location", "http://127.0.0.1:9/elsewhere"))
                        .body(body)
                }
            }))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/keys", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            url,
            answer,
            requests,
            server: handle,
        }
    }

    /// Returns the command-line flag that makes the API use this issuer.
    pub(crate) fn flag(&self) -> String {
        format!("--auth-jwks-url={}", self.url)
    }

    pub(crate) fn publish(&self, signers: &[&Signer]) {
        self.answer_with(200, &set_of(signers));
    }

    pub(crate) fn answer_with(&self, status: u16, body: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    /// Returns the number of requests that the issuer has received so far.
    pub(crate) fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // The call of `stop` sends the command. The returned future would only wait, and is
        // dropped.
        drop(self.server.stop(false));
    }
}

fn set_of(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}
