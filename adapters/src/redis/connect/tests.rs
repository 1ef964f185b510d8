//! Connecting ends in time, whatever is at the other end.

use std::net::TcpListener;

use super::*;
use crate::redis::trust::Files;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

fn target(address: Address, trust: Option<Arc<ClientConfig>>) -> Target {
    Target { address, trust, timeout: Duration::from_mins(1) }
}

/// Trusts nobody in particular.
fn trust() -> Arc<ClientConfig> {
    let own = rcgen::generate_simple_self_signed(["h".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca");
    std::fs::write(&path, own.cert.pem()).expect("writable");
    Files { ca: Some(path), ..Files::default() }.read().expect("a certificate of ours")
}

#[test]
fn a_unix_socket_whose_queue_is_full_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&SockAddr::unix(&path).expect("a short path")).expect("a fresh path");
    listener.listen(1).expect("it is bound");
    let target = target(Address::Unix(path), None);
    let mut waiting = Vec::new();
    let ended = loop {
        match target.connect(soon()) {
            Ok(connected) => waiting.push(connected),
            Err(ended) => break ended,
        }
    };
    assert!(!ended.is_final && ended.reason.contains("queue is full"), "{ended:?}");
    drop(listener);
    let ended = target.connect(soon()).err().expect("nobody listens");
    assert!(ended.reason.contains("refused"), "{ended:?}");
}

#[test]
fn a_handshake_that_the_server_does_not_answer_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    let port = listener.local_addr().expect("bound").port();
    let target = target(Address::Tcp("127.0.0.1".to_owned(), port), Some(trust()));
    let ended = target.connect(soon()).err().expect("nobody answers");
    assert_eq!(ended, Ended::by_itself("TLS handshake: the server did not answer in time"));
}

#[test]
fn a_handshake_that_goes_on_for_ever_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    let port = listener.local_addr().expect("bound").port();
    let target = target(Address::Tcp("127.0.0.1".to_owned(), port), Some(trust()));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        // The beginning of a record of 16,000 bytes, and one byte of it after the other.
        let _ = stream.write_all(&[22, 3, 3, 0x3e, 0x80]);
        while stream.write_all(&[2]).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let ended = target.connect(soon()).err().expect("it does not end");
    assert!(ended.reason.contains("time"), "{ended:?}");
    server.join().expect("it ends with the connection");
}

#[test]
fn a_server_without_tls_is_told_from_one_that_has_gone() {
    for (says, reason) in [(b"-ERR unknown command\r\n".as_slice(), "no TLS"), (b"", "closed the connection")]
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
        let port = listener.local_addr().expect("bound").port();
        let target = target(Address::Tcp("127.0.0.1".to_owned(), port), Some(trust()));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut hello = [0; 1];
            stream.read_exact(&mut hello).expect("the client begins");
            stream.write_all(says).expect("the client listens");
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let deadline = Instant::now() + Duration::from_mins(1);
        let ended = target.connect(deadline).err().expect("no TLS");
        assert!(!ended.is_final && ended.reason.contains(reason), "{ended:?}");
        server.join().expect("it ends with the connection");
    }
}
