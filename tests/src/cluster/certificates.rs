//! Identities in a cluster: its certificate authority, and the certificates and tokens that it signs.
//!
//! In: names. Out: files in PEM, and kubeconfigs that contain everything they need. No certificate is of use after the
//! run: the authority's key is never written to a file.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::{Value, json};

/// The way in which a client authenticates.
#[derive(Clone, Debug)]
pub enum Identity {
    /// By a certificate of the cluster's authority: user and groups.
    User(String, Vec<String>),
    /// By this token.
    Token(String),
    /// By the token in a file; tests may replace the file at any time.
    TokenFile(PathBuf),
}

impl Identity {
    /// A user of one group.
    #[must_use]
    pub fn user(name: &str, group: &str) -> Self {
        Self::User(name.to_owned(), vec![group.to_owned()])
    }

    /// The administrator, who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::user("admin", "system:masters")
    }
}

/// The cluster's authority.
pub(crate) struct Keys {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Keys {
    /// Makes an authority, and writes the files that the API server needs: a certificate for these addresses and names,
    /// and the key that signs tokens of ServiceAccounts.
    pub(crate) fn new(folder: &Path, addresses: &[IpAddr], names: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut params = named("kubernetes-ca", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let keys = Self { folder: folder.to_owned(), authority };
        keys.write("ca.crt", &keys.authority.pem())?;
        let accounts = KeyPair::generate()?;
        keys.write("service-accounts.key", &accounts.serialize_pem())?;
        keys.write("service-accounts.pub", &accounts.public_key_pem())?;

        let alternatives: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let names = names.iter().map(|&name| name.to_owned());
        let mut server = CertificateParams::new(alternatives.into_iter().chain(names).collect::<Vec<_>>())?;
        server.distinguished_name = named("kube-apiserver", &[]).distinguished_name;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        keys.write("apiserver.crt", &server.signed_by(&key, &keys.authority)?.pem())?;
        keys.write("apiserver.key", &key.serialize_pem())?;
        Ok(keys)
    }

    /// Writes the files of a server's certificate, which they replace: `NAME.crt` and `NAME.key`, for this address, valid
    /// until this year.
    pub(crate) fn serving(&self, name: &str, address: IpAddr, until: i32) -> Result<[PathBuf; 2]> {
        let mut params = CertificateParams::new([address.to_string()])?;
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 1, 1));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let files = ["crt", "key"].map(|kind| format!("{name}.{kind}"));
        self.write(&files[0], &params.signed_by(&key, &self.authority)?.pem())?;
        self.write(&files[1], &key.serialize_pem())?;
        Ok(files.map(|file| self.path(&file)))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The path of one of the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A kubeconfig by which `identity` reaches `server`. It is JSON, which is YAML too.
    pub(crate) fn kubeconfig(&self, server: &str, identity: &Identity) -> Result<String> {
        let user = match identity {
            Identity::User(name, groups) => {
                let mut params = named(name, groups);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                let key = KeyPair::generate()?;
                let certificate = params.signed_by(&key, &self.authority)?.pem();
                json!({
                    "client-certificate-data": STANDARD.encode(certificate),
                    "client-key-data": STANDARD.encode(key.serialize_pem()),
                })
            }
            Identity::Token(token) => json!({"token": token}),
            Identity::TokenFile(path) => json!({"tokenFile": path}),
        };
        let cluster = json!({
            "server": server,
            "certificate-authority-data": STANDARD.encode(self.authority.pem()),
        });
        let config: Value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
            "current-context": "lab",
        });
        Ok(format!("{config:#}\n"))
    }
}

/// Parameters of a certificate with this subject. Groups are organisations.
fn named(name: &str, groups: &[String]) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    groups.iter().for_each(|group| subject.push(DnType::OrganizationName, group.as_str()));
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params
}
