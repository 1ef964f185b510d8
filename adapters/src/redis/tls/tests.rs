//! A client and a server of TLS in memory: whoever the server is and however its bytes come, what is said arrives whole or the
//! client says why not.

use std::io::Read;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, crypto, version};

use super::super::trust::Files;
use super::*;

/// Who issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

type Identity = (Certificate, KeyPair);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// Somebody with this name, from the year 2000 to the end of `until`.
    fn issue(&self, name: &str, until: i32) -> Identity {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.not_before = date_time_ymd(2000, 1, 1);
        parameters.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().expect("a key");
        (parameters.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    /// A client that trusts only this one, and may have a certificate of its own.
    fn client(&self, host: &str, own: Option<&Identity>) -> Tls {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("writable");
            Some(path)
        };
        let mut files = Files { ca: file("ca", &self.0.pem()), ..Files::default() };
        if let Some((certificate, key)) = own {
            files.cert = file("cert", &certificate.pem());
            files.key = file("key", &key.serialize_pem());
        }
        Tls::new(&files.read().expect("files of ours"), host).expect("a name")
    }

    /// A server that this client may meet; with `clients` it wants certificates issued by that one.
    fn server(identity: &Identity, clients: Option<&Authority>, version: Version) -> ServerConnection {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .expect("a version of the provider");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("there is a root"))
            }
        };
        let key = PrivateKeyDer::try_from(identity.1.serialize_der()).expect("a key");
        let config = builder.with_single_cert(vec![identity.0.der().clone()], key).expect("its key");
        ServerConnection::new(Arc::new(config)).expect("a configuration of ours")
    }
}

type Version = &'static SupportedProtocolVersion;

const VERSIONS: [Version; 2] = [&version::TLS12, &version::TLS13];

/// Both ends, and the way between them. The server says back what it hears.
struct Pair {
    client: Tls,
    server: ServerConnection,
    /// What the client has still to say, and has heard.
    says: Vec<u8>,
    heard: Vec<u8>,
    /// What is on its way to the client, and how much of it has come so far.
    way: Vec<u8>,
    came: usize,
    /// The byte of all that comes that comes wrong.
    wrong: Option<usize>,
    ended: Option<Ended>,
}

impl Pair {
    fn new(client: Tls, server: ServerConnection) -> Pair {
        let (says, heard, way) = (Vec::new(), Vec::new(), Vec::new());
        Pair { client, server, says, heard, way, came: 0, wrong: None, ended: None }
    }

    /// With a server that is as it should be.
    fn good(version: Version) -> Pair {
        let authority = Authority::new("one");
        let server = Authority::server(&authority.issue("server", 4000), None, version);
        Pair::new(authority.client("server", None), server)
    }

    /// Carries up to `bytes_max` bytes each way. Whether there were any.
    fn step(&mut self, bytes_max: usize) -> bool {
        if !self.client.is_handshaking() {
            let count = self.client.seal(&self.says);
            self.says.drain(..count);
        }
        let sent = self.client.unsent();
        let sent = sent[..sent.len().min(bytes_max)].to_vec();
        self.client.has_sent(sent.len());
        let mut arriving = sent.as_slice();
        while !arriving.is_empty() && self.server.read_tls(&mut arriving).is_ok_and(|count| count > 0) {
            // Where it fails, it tells the client why.
            let _ = self.server.process_new_packets();
            let mut heard = Vec::new();
            let _ = self.server.reader().read_to_end(&mut heard);
            self.server.writer().write_all(&heard).expect("it has no bound");
        }
        while self.server.wants_write() {
            self.server.write_tls(&mut self.way).expect("memory takes it");
        }
        let mut comes: Vec<u8> = self.way.drain(..self.way.len().min(bytes_max)).collect();
        if let Some(at) = self.wrong.and_then(|wrong| wrong.checked_sub(self.came))
            && let Some(byte) = comes.get_mut(at)
        {
            *byte ^= 1;
        }
        self.came += comes.len();
        if self.ended.is_none() {
            self.ended = self.client.open(&comes, &mut self.heard).err();
        }
        !sent.is_empty() || !comes.is_empty()
    }

    /// Until nothing moves any more; why the client ended it.
    fn run(&mut self, bytes_max: usize) -> Option<Ended> {
        self.server.set_buffer_limit(None);
        while self.ended.is_none() && self.step(bytes_max) {}
        self.ended.clone()
    }
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn what_is_said_arrives_whole_however_its_bytes_come() {
    for version in VERSIONS {
        for (bytes_max, said) in [(1, 20_000), (7, 100_000), (1_000, 400_000), (usize::MAX, 400_000)] {
            let mut pair = Pair::good(version);
            pair.says = text(said);
            assert_eq!(pair.run(bytes_max), None);
            assert!(pair.heard == text(said), "{} of {said} bytes, {bytes_max} at once", pair.heard.len());
        }
    }
}

#[test]
fn plaintext_is_taken_only_when_the_records_before_have_gone() {
    let mut pair = Pair::good(&version::TLS13);
    pair.run(usize::MAX);
    let plain = text(1 << 20);
    let taken = pair.client.seal(&plain);
    assert!((1..=128 << 10).contains(&taken), "{taken}");
    assert_eq!(pair.client.seal(&plain[taken..]), 0);
    let unsent = pair.client.unsent().len();
    pair.client.has_sent(unsent - 1);
    assert_eq!(pair.client.seal(&plain[taken..]), 0);
    pair.client.has_sent(1);
    assert!(pair.client.seal(&plain[taken..]) > 0);
}

#[test]
fn a_server_that_is_somebody_else_is_refused_with_the_reason() {
    let (authority, other) = (Authority::new("one"), Authority::new("another"));
    for version in VERSIONS {
        for (identity, host, reason) in [
            (other.issue("server", 4000), "server", "issuer that is not trusted"),
            (authority.issue("other", 4000), "server", "for another name"),
            (authority.issue("server", 4000), "127.0.0.1", "for another name"),
            (authority.issue("server", 2001), "server", "has expired"),
        ] {
            let server = Authority::server(&identity, None, version);
            let mut pair = Pair::new(authority.client(host, None), server);
            pair.says = text(10);
            let ended = pair.run(usize::MAX).expect(reason);
            assert!(ended.is_final && ended.reason.contains(reason), "{ended:?}");
            assert_eq!(pair.says.len(), 10, "nothing of ours was said");
        }
    }
}

#[test]
fn an_address_is_verified_as_one() {
    let authority = Authority::new("one");
    for host in ["127.0.0.1", "::1"] {
        let server = Authority::server(&authority.issue(host, 4000), None, &version::TLS13);
        let mut pair = Pair::new(authority.client(host, None), server);
        pair.says = text(10);
        assert_eq!((pair.run(usize::MAX), pair.heard.len()), (None, 10));
    }
}

#[test]
fn a_server_that_wants_a_certificate_is_given_it_or_says_so() {
    let (authority, other) = (Authority::new("one"), Authority::new("another"));
    let (right, wrong) = (authority.issue("client", 4000), other.issue("client", 4000));
    for version in VERSIONS {
        for (own, reason) in [(Some(&right), None), (None, Some("refuse")), (Some(&wrong), Some("refuse"))] {
            let server = Authority::server(&authority.issue("server", 4000), Some(&authority), version);
            let mut pair = Pair::new(authority.client("server", own), server);
            pair.says = text(10);
            let ended = pair.run(usize::MAX);
            assert_eq!(ended.is_some(), reason.is_some(), "{ended:?}");
            assert!(ended.as_ref().is_none_or(|ended| ended.is_final), "{ended:?}");
            assert_eq!(pair.heard.is_empty(), ended.is_some());
        }
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_says_nothing_and_hears_nothing() {
    for version in VERSIONS {
        let mut whole = Pair::good(version);
        while whole.client.is_handshaking() && whole.step(usize::MAX) {}
        for cut in (0..whole.came - 100).step_by(11) {
            let mut pair = Pair::good(version);
            pair.says = text(10);
            while pair.came < cut && pair.step(1) {}
            assert!(pair.ended.is_none() && pair.client.is_handshaking(), "at {cut}");
            assert_eq!((pair.says.len(), pair.heard.len()), (10, 0));
        }
    }
}

#[test]
fn a_byte_that_comes_wrong_is_not_heard() {
    for version in VERSIONS {
        let mut whole = Pair::good(version);
        whole.says = text(300);
        whole.run(usize::MAX);
        let (mut flipped, mut passed) = (0, 0);
        for wrong in (0..whole.came).step_by(5) {
            let mut pair = Pair::good(version);
            pair.says = text(300);
            pair.wrong = Some(wrong);
            pair.run(100);
            assert!(text(300).starts_with(&pair.heard), "at {wrong}");
            flipped += 1;
            passed += usize::from(pair.heard.len() == 300);
        }
        // The version in a record's head says nothing, and is not looked at.
        assert!(passed <= flipped / 20, "{passed} of {flipped}");
    }
}

#[test]
fn what_is_no_tls_ends_it_with_that_reason() {
    for said in
        [b"-ERR unknown command\r\n".as_slice(), b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0; 600], &[0xff; 600]]
    {
        let mut client = Authority::new("one").client("server", None);
        let ended = client.open(said, &mut Vec::new()).expect_err("no TLS");
        assert!(!ended.is_final && ended.reason.contains("no TLS"), "{ended:?}");
    }
}

#[test]
fn what_was_said_before_the_end_is_heard() {
    for version in VERSIONS {
        let mut pair = Pair::good(version);
        pair.run(usize::MAX);
        pair.server.writer().write_all(&text(300)).expect("it has no bound");
        pair.server.send_close_notify();
        assert_eq!(pair.run(usize::MAX), Some(Ended::cut()));
        assert!(pair.heard == text(300));
        assert_eq!(pair.client.open(&[1], &mut pair.heard), Err(Ended::cut()));
    }
}

#[test]
fn the_servers_wish_for_new_keys_is_fulfilled() {
    let mut pair = Pair::good(&version::TLS13);
    pair.says = text(300);
    pair.run(usize::MAX);
    pair.server.refresh_traffic_keys().expect("after the handshake");
    pair.server.writer().write_all(b"with new keys").expect("it has no bound");
    pair.server.write_tls(&mut pair.way).expect("memory takes it");
    pair.says = text(100);
    assert_eq!(pair.run(usize::MAX), None);
    assert!(pair.heard == [text(300), b"with new keys".to_vec(), text(100)].concat());
}
