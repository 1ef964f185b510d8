//! Whom TLS trusts, and as whom it speaks: certificates and keys from PEM files, read once, when the bus starts.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::ConfigError;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

/// The files that the configuration names.
#[derive(Default)]
pub(super) struct Files {
    /// Of those who are trusted, instead of the system's.
    pub(super) ca: Option<PathBuf>,
    /// The client's own certificate, and those between it and its issuer.
    pub(super) cert: Option<PathBuf>,
    /// The key to that.
    pub(super) key: Option<PathBuf>,
}

impl Files {
    /// The first key of the section that names one.
    pub(super) fn first_key(&self) -> Option<&'static str> {
        [(CA, &self.ca), (CERT, &self.cert), (KEY, &self.key)]
            .into_iter()
            .find_map(|(key, path)| path.as_ref().map(|_| key))
    }

    /// Reads them.
    pub(super) fn read(&self) -> Result<Arc<ClientConfig>, ConfigError> {
        let roots = match &self.ca {
            Some(path) => named_roots(path)?,
            None => system_roots()?,
        };
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(roots);
        let mut config = match (&self.cert, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(CERT, cert)?, private_key(key)?)
                .map_err(|error| ConfigError::new(KEY, format!("not the key of `tls_cert_path`: {error}")))?,
            (Some(_), None) => return Err(alone(CERT, "tls_key_path")),
            (None, Some(_)) => return Err(alone(KEY, "tls_cert_path")),
        };
        // Each connection is verified anew, against the time that it is made at.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn alone(key: &str, other: &str) -> ConfigError {
    ConfigError::new(key, format!("only together with `{other}`"))
}

fn named_roots(path: &Path) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, path)? {
        roots.add(certificate).map_err(|error| refused(CA, path, &error.to_string()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // One that cannot be used makes nobody trusted, and the others are there.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = "this system trusts nobody, as far as can be read; name a PEM file with `tls_ca_path`";
        return Err(ConfigError::new("redis.url", reason.to_owned()));
    }
    Ok(roots)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let pem = content(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(refused(key, path, "there is no certificate in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refused(key, path, &error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let pem = content(KEY, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| refused(KEY, path, &error.to_string()))
}

fn content(key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut content));
    read.map_err(|error| refused(key, path, &error.to_string()))?;
    if content.len() as u64 > PEM_BYTES_MAX {
        return Err(refused(key, path, &format!("it has more than {PEM_BYTES_MAX} bytes")));
    }
    Ok(content)
}

fn refused(key: &str, path: &Path, reason: &str) -> ConfigError {
    ConfigError::new(key, format!("{}: {reason}", path.display()))
}

const CA: &str = "redis.tls_ca_path";
const CERT: &str = "redis.tls_cert_path";
const KEY: &str = "redis.tls_key_path";
/// More than the anchors of any system.
const PEM_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_use_is_named_by_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("writable");
            Some(path)
        };
        let own = rcgen::generate_simple_self_signed(["h".to_owned()]).expect("a certificate");
        let other = rcgen::KeyPair::generate().expect("a key");
        let (cert, key) = (file("cert", &own.cert.pem()), file("key", &own.signing_key.serialize_pem()));
        let torn = file("torn", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        let empty = file("empty", "");
        let no_certificate = file("no", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let missing = Some(folder.path().join("missing"));
        let other = file("other", &other.serialize_pem());
        for (ca, cert, key, path, reason) in [
            (&missing, &None, &None, CA, "No such file"),
            (&empty, &None, &None, CA, "no certificate in it"),
            (&torn, &None, &None, CA, "torn"),
            (&no_certificate, &None, &None, CA, "no"),
            (&Some(folder.path().to_owned()), &None, &None, CA, "directory"),
            (&cert, &empty, &key, CERT, "no certificate in it"),
            (&cert, &cert, &missing, KEY, "No such file"),
            (&cert, &cert, &empty, KEY, "empty"),
            (&cert, &cert, &other, KEY, "not the key"),
            (&cert, &cert, &None, CERT, "tls_key_path"),
            (&cert, &None, &key, KEY, "tls_cert_path"),
        ] {
            let files = Files { ca: ca.clone(), cert: cert.clone(), key: key.clone() };
            let error = files.read().expect_err(reason);
            assert_eq!(error.path, path, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        let files = Files { ca: cert.clone(), cert, key };
        assert!(files.read().is_ok());
    }
}
