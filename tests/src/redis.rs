//! A Redis server of a test's own: on a free port of loopback, in a folder of its own, ended with the test.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use adapters::SECTIONS;
use engine::bus::Bus;
use engine::config::Config;
use engine::event::EventFlags;

use crate::authority::{Authority, Identity};
use crate::until;

/// A running server. Ended with `SIGKILL` when it is dropped.
pub struct Redis {
    port: u16,
    tls_port: u16,
    folder: tempfile::TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    /// A server that keeps nothing on disk.
    pub fn start() -> Redis {
        Redis::with(&["--save", "", "--appendonly", "no"])
    }

    /// A server whose every answer is durable.
    pub fn durable() -> Redis {
        Redis::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server that has what `primary` has, as soon as it can.
    pub fn replica_of(primary: &Redis) -> Redis {
        let port = primary.port.to_string();
        Redis::with(&["--save", "", "--appendonly", "no", "--replicaof", "127.0.0.1", &port])
    }

    /// A server with these options.
    pub fn with(options: &[&str]) -> Redis {
        let mut server = Redis::folder(options);
        server.launch();
        server
    }

    /// One that does not run yet.
    fn folder(options: &[&str]) -> Redis {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a folder");
        Redis { port: free_port(), tls_port: 0, folder, options, process: None }
    }

    /// A durable server that speaks TLS as `identity` on a port beside the one without. With `asks_clients` only to clients that
    /// prove to be somebody whom `authority` knows.
    pub fn with_tls(identity: &Identity, authority: &Authority, asks_clients: bool) -> Redis {
        let mut server = Redis::folder(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        server.tls_port = free_port();
        let port = server.tls_port.to_string();
        let [cert, key, ca] =
            [&identity.cert, &identity.key, &authority.cert()].map(|path| path.display().to_string());
        let asks_clients = if asks_clients { "yes" } else { "no" };
        for (option, value) in [
            ("port", port.as_str()),
            ("cert-file", &cert),
            ("key-file", &key),
            ("ca-cert-file", &ca),
            ("auth-clients", asks_clients),
        ] {
            server.options.extend([format!("--tls-{option}"), value.to_owned()]);
        }
        server.launch();
        server
    }

    /// From its next connection on it is somebody else.
    pub fn become_known_as(&self, identity: &Identity) {
        let [cert, key] = [&identity.cert, &identity.key].map(|path| path.display().to_string());
        self.ask(&["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key]);
    }

    /// Its `redis` section for a bus.
    pub fn section(&self) -> String {
        format!(r#""redis":{{"url":"redis://127.0.0.1:{}"}}"#, self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port it speaks TLS on.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The socket it listens on beside the port.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Starts it again, with what it has on disk.
    pub fn launch(&mut self) {
        let log = File::create(self.folder.path().join("log")).expect("writable");
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            // A replica that comes is served at once.
            .args(["--repl-diskless-sync-delay", "0"])
            .args(&self.options)
            .stdout(Stdio::from(log))
            .spawn()
            .expect("redis-server is installed by `cargo xtask test`");
        self.process = Some(process);
        until("the server answers", || self.try_ask(&["PING"]).is_some_and(|answer| answer == "PONG"));
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it has ended");
        }
    }

    /// Stops it, or lets it go on.
    pub fn set_stopped(&self, stopped: bool) {
        let process = self.process.as_ref().expect("it runs").id();
        let signal = if stopped { libc::SIGSTOP } else { libc::SIGCONT };
        // SAFETY: a signal to a child that was not waited for yet, so the number is still its own.
        assert_eq!(unsafe { libc::kill(process.cast_signed(), signal) }, 0);
    }

    /// What it answers to a command, its lines put together: strings and numbers as text.
    pub fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).expect("the server answers")
    }

    /// Has it do what a command says.
    pub fn order(&self, words: &[&str]) {
        let answer = self.ask(words);
        assert_eq!(answer, "OK", "{words:?}");
    }

    /// The same as [`ask`](Redis::ask); `None` when nobody answers.
    pub fn try_ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(command, "${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(command.as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        answer(&mut reader).map(|lines| lines.join("\n"))
    }

    /// Number of entries of a stream.
    pub fn len(&self, key: &str) -> u64 {
        self.ask(&["XLEN", key]).parse().expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A bus whose store is what its configuration says.
pub fn bus(json: &str) -> Bus {
    let (config, section) = Config::parse(json, &SECTIONS).expect("a test's configuration is right");
    Bus::start(config.clone(), adapters::factory(section, &config).expect("in this build"))
        .expect("it starts")
}

/// Publishes so many numbered events, and waits until they are stored.
pub fn publish(bus: &Bus, count: usize) {
    let mut producer = bus.producer();
    for number in 0..count {
        let payload = format!(r#"{{"number":{number}}}"#);
        producer.publish(Some(&number.to_le_bytes()), payload.as_bytes(), EventFlags::NONE).expect("room");
    }
    bus.flush().expect("the server answers");
}

/// The numbers that [`publish`] has given events.
pub fn numbers<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
    let number = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).expect("what was published");
        text["{\"number\":".len()..text.len() - 1].parse().expect("a number")
    };
    payloads.map(number).collect()
}

/// The strings and numbers of a reply.
fn answer(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.strip_suffix("\r\n")?;
    let (kind, rest) = line.split_at_checked(1)?;
    match (kind, rest) {
        ("$" | "*", "-1") => Some(Vec::new()),
        ("$", len) => {
            let mut bytes = vec![0; len.parse::<usize>().ok()? + 2];
            reader.read_exact(&mut bytes).ok()?;
            bytes.truncate(bytes.len() - 2);
            Some(vec![String::from_utf8_lossy(&bytes).into_owned()])
        }
        ("*", count) => {
            let mut all = Vec::new();
            for _ in 0..count.parse::<usize>().ok()? {
                all.extend(answer(reader)?);
            }
            Some(all)
        }
        _ => Some(vec![rest.to_owned()]),
    }
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    listener.local_addr().expect("bound").port()
}
