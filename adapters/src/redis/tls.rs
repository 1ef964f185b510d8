//! TLS of one connection, without the connection: plaintext and records go in and come out as bytes.
//!
//! What it holds is bounded: plaintext is taken only when every record made before has been sent, and what the server says goes
//! straight on, but for a record that has not come whole. It begins with the handshake; until that is over nothing of ours is said.

use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection};

use super::link::Ended;

/// One connection's TLS.
pub(super) struct Tls {
    connection: ClientConnection,
    /// Records to be sent, and how many of their bytes have gone.
    records: Vec<u8>,
    sent: usize,
}

impl Tls {
    /// Begins with a server that must prove to be `host`, a name or an address.
    pub(super) fn new(trust: &Arc<ClientConfig>, host: &str) -> Result<Tls, Ended> {
        let name = server_name(host)
            .ok_or_else(|| Ended::by_operator("the host has no name that a certificate could be for"))?;
        let connection = ClientConnection::new(Arc::clone(trust), name).map_err(|error| ended(&error))?;
        Ok(Tls { connection, records: Vec::new(), sent: 0 })
    }

    /// Whether nothing can be said yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Makes records of the beginning of `plain`, unless some are still to be sent. Of how many bytes.
    pub(super) fn seal(&mut self, plain: &[u8]) -> usize {
        if plain.is_empty() || !self.unsent().is_empty() {
            return 0;
        }
        // It takes what its own bound leaves room for, and cannot fail.
        self.connection.writer().write(plain).unwrap_or(0)
    }

    /// What is to be sent next.
    pub(super) fn unsent(&mut self) -> &[u8] {
        if self.sent == self.records.len() {
            self.records.clear();
            self.sent = 0;
            while self.connection.wants_write() && self.connection.write_tls(&mut self.records).is_ok() {}
        }
        &self.records[self.sent..]
    }

    /// So many bytes of that have gone.
    pub(super) fn has_sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// Takes bytes that have come, and puts what they say behind `plain`. With an error it is over; what was said before that is
    /// in `plain` all the same.
    pub(super) fn open(&mut self, mut records: &[u8], plain: &mut Vec<u8>) -> Result<(), Ended> {
        while !records.is_empty() {
            if self.connection.read_tls(&mut records)? == 0 {
                return Err(Ended::cut());
            }
            let state = self.connection.process_new_packets();
            loop {
                let mut reader = self.connection.reader();
                // An error says that nothing is there now, or never will be.
                let chunk = reader.fill_buf().unwrap_or_default();
                if chunk.is_empty() {
                    break;
                }
                plain.extend_from_slice(chunk);
                let count = chunk.len();
                reader.consume(count);
            }
            if state.map_err(|error| ended(&error))?.peer_has_closed() {
                return Err(Ended::cut());
            }
        }
        Ok(())
    }
}

/// What a certificate has to be for, where `host` can be that.
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host).ok().map(|name| name.to_owned())
}

/// Why TLS is over, in words, and whether only the operator can help.
fn ended(error: &rustls::Error) -> Ended {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(error) => Ended::by_operator(refused(error)),
        Error::PeerIncompatible(_) => {
            Ended::by_operator(format!("the server offers no TLS that would do: {error}"))
        }
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => Ended::by_operator(
                "the server wants a certificate of its client (`tls_cert_path` and `tls_key_path`)",
            ),
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => {
                Ended::by_operator(format!("the server does not trust its client's certificate ({alert:?})"))
            }
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::UnrecognisedName => {
                Ended::by_operator(format!("the server refuses the TLS handshake ({alert:?})"))
            }
            alert => Ended::by_itself(format!("the server ended TLS ({alert:?})")),
        },
        Error::InvalidMessage(_) => Ended::by_itself(format!("what the server says is no TLS: {error}")),
        error => Ended::by_itself(format!("TLS with the server failed: {error}")),
    }
}

/// Why a server's certificate is refused.
fn refused(error: &CertificateError) -> String {
    let why = match error {
        CertificateError::UnknownIssuer => "is of an issuer that is not trusted".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        _ => "cannot be used".to_owned(),
    };
    format!("the server's certificate {why}: {error}")
}

#[cfg(test)]
mod tests;
