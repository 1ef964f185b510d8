//! Who issues certificates to a test's servers and clients: an issuer and PEM files of the test's own.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// An issuer of certificates. Its files are deleted with it.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Somebody who can prove who it is.
pub struct Identity {
    /// Its certificate.
    pub cert: PathBuf,
    /// The key to that.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Authority {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut parameters = CertificateParams::default();
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("writable");
        Authority { folder, issuer }
    }
}

impl Authority {
    /// Its own certificate: whoever trusts this trusts everybody that it has issued one to.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a name or an address.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_until(name, 4000)
    }

    /// One that is valid until the end of that year.
    pub fn issue_until(&self, name: &str, year: i32) -> Identity {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.not_before = date_time_ymd(2000, 1, 1);
        parameters.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str, content: String| {
            let path = self.folder.path().join(format!("{name}-{year}-{kind}.pem"));
            fs::write(&path, content).expect("writable");
            path
        };
        Identity { cert: file("cert", certificate.pem()), key: file("key", key.serialize_pem()) }
    }
}
