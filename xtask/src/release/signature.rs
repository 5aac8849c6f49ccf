//! A signature with a key in a file, in the format of `cosign sign-blob`: ECDSA on the curve P-256 of the SHA-256, as
//! DER, in Base64. `cosign verify-blob --key` and `openssl dgst -verify` accept it.
//!
//! Two signatures of the same file differ, because each has a random number in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};

/// Signs a file; returns the path of the signature, which is the file's with `.sig`.
pub(super) fn sign_file(key: &Path, file: &Path) -> Result<PathBuf> {
    let pem = fs::read_to_string(key).with_context(|| format!("cannot read {}", key.display()))?;
    let key = read(&pem).with_context(|| {
        format!(
            "{} is no usable key: make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`",
            key.display()
        )
    })?;
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let signature = sign(&key, &bytes)?;
    verify(&key, &bytes, &signature)?;
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    let path = PathBuf::from(path);
    fs::write(&path, signature).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The key in a PEM file.
fn read(pem: &str) -> Result<EcdsaKeyPair> {
    let body = pem
        .split_once("-----BEGIN PRIVATE KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
        .context(
            "it has no block `PRIVATE KEY`, which an encrypted key and a public one do not have either",
        )?;
    let body: String = body.0.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|error| anyhow!("its block is no Base64: {error}"))?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new())
        .map_err(|error| anyhow!("its key is not on the curve P-256: {error}"))
}

fn sign(key: &EcdsaKeyPair, bytes: &[u8]) -> Result<String> {
    let signature = key.sign(&SystemRandom::new(), bytes).map_err(|_| anyhow!("the key cannot sign"))?;
    Ok(STANDARD.encode(signature))
}

fn verify(key: &EcdsaKeyPair, bytes: &[u8], signature: &str) -> Result<()> {
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key());
    let signature =
        STANDARD.decode(signature).map_err(|error| anyhow!("the signature is no Base64: {error}"))?;
    public.verify(bytes, &signature).map_err(|_| anyhow!("the signature is not of these bytes"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process;

    /// OpenSSL makes the key and verifies, so the formats are not only our own.
    #[test]
    fn openssl_accepts_the_signature_until_a_byte_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-release-signature-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let openssl =
            |line: &str| process::output(Command::new("openssl").args(line.split(' ')).current_dir(&folder));
        openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem").unwrap();
        openssl("pkey -in key.pem -pubout -out public.pem").unwrap();
        fs::write(folder.join("file"), "content").unwrap();
        let path = sign_file(&folder.join("key.pem"), &folder.join("file")).unwrap();
        let text = fs::read_to_string(path).unwrap();
        fs::write(folder.join("der"), STANDARD.decode(&text).unwrap()).unwrap();
        let check = || openssl("dgst -sha256 -verify public.pem -signature der file");
        check().unwrap();
        let key = read(&fs::read_to_string(folder.join("key.pem")).unwrap()).unwrap();
        verify(&key, b"content", &text).unwrap();
        assert!(verify(&key, b"contenu", &text).is_err());
        fs::write(folder.join("file"), "contenu").unwrap();
        let changed = check();
        fs::remove_dir_all(&folder).unwrap();
        assert!(changed.is_err());
    }

    #[test]
    fn another_kind_of_key_is_refused() {
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(read(pem).is_err(), "{pem}");
        }
    }
}
