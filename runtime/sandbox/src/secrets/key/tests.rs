use super::*;
use aws_lc_rs::signature::{self, UnparsedPublicKey};

/// A file of the published keys.
macro_rules! vector {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/jose/", $file))
    };
}
pub(crate) use vector;

fn read(text: &str, algorithm: SignatureAlgorithm) -> Result<SigningKey, SigningKeyError> {
    SigningKey::read(&SecretBytes::new(text.into()), algorithm)
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The signed part and the signature of a published token.
fn published(jws: &str) -> (Vec<u8>, Vec<u8>) {
    let (part, signature) = jws.trim_end().rsplit_once('.').unwrap();
    (part.into(), decoded(signature))
}

fn member(jwk: &str, name: &str) -> Vec<u8> {
    let jwk: serde_json::Value = serde_json::from_str(jwk).unwrap();
    decoded(jwk[name].as_str().unwrap())
}

#[test]
fn key_signs_rs256_as_rfc_7515_in_every_form() {
    let (part, signature) = published(vector!("rs256.jws"));
    for key in [vector!("rs256.jwk.json"), vector!("rs256.pkcs8.pem"), vector!("rs256.pkcs1.pem")] {
        assert_eq!(read(key, SignatureAlgorithm::Rs256).unwrap().sign(&part).unwrap(), signature);
    }
}

#[test]
fn key_signs_eddsa_as_rfc_8037_in_every_form() {
    let (part, signature) = published(vector!("eddsa.jws"));
    for key in [vector!("eddsa.jwk.json"), vector!("eddsa.pkcs8.pem")] {
        assert_eq!(read(key, SignatureAlgorithm::EdDsa).unwrap().sign(&part).unwrap(), signature);
    }
}

#[test]
fn key_signs_es256_for_the_public_key_of_rfc_7515() {
    let jwk = vector!("es256.jwk.json");
    let point = [vec![4], member(jwk, "x"), member(jwk, "y")].concat();
    let public = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
    let (part, signature) = published(vector!("es256.jws"));
    public.verify(&part, &signature).unwrap();
    for key in [jwk, vector!("es256.pkcs8.pem"), vector!("es256.sec1.pem")] {
        let key = read(key, SignatureAlgorithm::Es256).unwrap();
        let (one, two) = (key.sign(&part).unwrap(), key.sign(&part).unwrap());
        public.verify(&part, &one).unwrap();
        assert_eq!(one.len(), 64);
        assert_ne!(one, two, "a nonce that comes again gives the key away");
    }
}

#[test]
fn key_of_another_tool_is_read() {
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (pair, algorithm) in [(p256, SignatureAlgorithm::Es256), (ed25519, SignatureAlgorithm::EdDsa)] {
        let windows = pair.serialize_pem().replace('\n', "\r\n");
        for text in [pair.serialize_pem(), windows, format!("a comment\n{}\n", pair.serialize_pem())] {
            read(&text, algorithm).unwrap().sign(b"data").unwrap();
        }
    }
}

#[test]
fn key_error_says_how_to_fix_it() {
    let convert = "openssl pkcs8 -topk8 -nocrypt";
    for (key, algorithm, expected) in [
        (vector!("es256.sec1.pem"), SignatureAlgorithm::Rs256, "does not fit RS256"),
        (vector!("es256.sec1.pem"), SignatureAlgorithm::EdDsa, "does not fit EdDSA"),
        (vector!("rs256.encrypted.pem"), SignatureAlgorithm::Rs256, convert),
        (vector!("rs256.proc-type.pem"), SignatureAlgorithm::Rs256, convert),
        (vector!("ed25519.openssh.pem"), SignatureAlgorithm::EdDsa, "PKCS#8"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            SignatureAlgorithm::Rs256,
            "holds no private key",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", SignatureAlgorithm::Rs256, "cannot be decoded"),
        (
            "-----BEGIN PRIVATE KEY-----\nA?AA\n-----END PRIVATE KEY-----",
            SignatureAlgorithm::Rs256,
            "cannot be decoded",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            SignatureAlgorithm::Rs256,
            "does not fit RS256",
        ),
        ("hunter2", SignatureAlgorithm::EdDsa, "not a private key"),
        ("{", SignatureAlgorithm::EdDsa, "not a private key"),
        ("\u{ff}", SignatureAlgorithm::EdDsa, "not a private key"),
    ] {
        let error = read(key, algorithm).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn key_signs_for_its_own_algorithm_only() {
    let keys = [
        (SignatureAlgorithm::Rs256, [vector!("rs256.jwk.json"), vector!("rs256.pkcs8.pem")]),
        (SignatureAlgorithm::Es256, [vector!("es256.jwk.json"), vector!("es256.pkcs8.pem")]),
        (SignatureAlgorithm::EdDsa, [vector!("eddsa.jwk.json"), vector!("eddsa.pkcs8.pem")]),
    ];
    for (own, texts) in keys {
        for other in [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa] {
            for text in texts {
                assert_eq!(read(text, other).is_ok(), own == other, "{own} as {other}");
            }
        }
    }
}

#[test]
fn key_rejects_an_incomplete_or_different_jwk() {
    let jwk = vector!("eddsa.jwk.json");
    for (text, expected) in [
        (jwk.replace("\"crv\"", "\"alg\": \"ES256\", \"crv\""), "\"alg\""),
        (jwk.replace("Ed25519", "X25519"), "\"Ed25519\""),
        (jwk.replace("\"d\"", "\"e\""), "d and x"),
        (jwk.replace("nWGx", "nWGy"), "InconsistentComponents"),
        (jwk.replace("nWGx", "nW!x"), "not a private key"),
    ] {
        let error = read(&text, SignatureAlgorithm::EdDsa).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let alone = vector!("rs256.jwk.json").replace("\"qi\"", "\"other\"");
    assert!(read(&alone, SignatureAlgorithm::Rs256).err().unwrap().to_string().contains("qi"));
}

#[test]
fn key_errors_quote_no_key() {
    for file in [vector!("rs256.pkcs8.pem"), vector!("es256.sec1.pem"), vector!("eddsa.jwk.json")] {
        // Each damage leaves the rest of the key in the text.
        for damaged in [file.replacen('A', "?", 1), file.replacen("--", "", 1), file.replacen('"', "", 1)] {
            for algorithm in [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa] {
                let Err(error) = read(&damaged, algorithm) else { continue };
                let shown = format!("{error} {error:?}");
                let line = file.lines().max_by_key(|line| line.len()).unwrap();
                for piece in line.as_bytes().windows(12) {
                    assert!(!shown.contains(std::str::from_utf8(piece).unwrap()), "{shown}");
                }
            }
        }
    }
}
