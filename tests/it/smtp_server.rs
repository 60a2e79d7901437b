//! A mail server that answers exactly as it is told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What it does when it hears something.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// Says this, with its line ends.
    Says(&'static [u8]),
    /// Says nothing, and waits for the other side to go.
    Silent,
    /// Closes the connection.
    Closes,
    /// Says this and closes the connection.
    SaysAndCloses(&'static [u8]),
    /// Says this, after so many milliseconds.
    SaysAfter(u64, &'static [u8]),
}

/// What it does at each step: `greeting`, a command with its arguments, or `.` for the end of a mail; nothing for the
/// usual.
type Script = dyn Fn(&str) -> Option<Does> + Send + Sync;

/// A mail that it was handed, whatever it said to that.
#[derive(Clone, Debug)]
pub struct Handed {
    pub to: String,
    pub text: String,
}

impl Handed {
    /// The mail's own id.
    pub fn message_id(&self) -> &str {
        self.header("Message-ID: ")
    }

    /// What the mail is about.
    pub fn subject(&self) -> &str {
        self.header("Subject: ")
    }

    fn header(&self, name: &str) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix(name)).unwrap()
    }
}

/// What it does from now on, and what it has seen.
struct Shared {
    script: Mutex<Arc<Script>>,
    handed: Mutex<Vec<Handed>>,
    heard: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    limit: AtomicUsize,
}

/// A server on a port of its own. It ends with this value.
pub struct SmtpServer {
    pub port: u16,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

impl SmtpServer {
    pub async fn start(script: impl Fn(&str) -> Option<Does> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            handed: Mutex::default(),
            heard: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
        });
        let mut accepting = JoinSet::new();
        {
            let shared = Arc::clone(&shared);
            accepting.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        shared.connections.fetch_add(1, Ordering::SeqCst);
                        let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                        let is_full = open > shared.limit.load(Ordering::SeqCst);
                        let _ = if is_full {
                            turn_away(stream).await
                        } else {
                            shared.most_open.fetch_max(open, Ordering::SeqCst);
                            shared.converse(stream).await
                        };
                        shared.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
        Self { port, shared, _accepting: accepting }
    }

    /// Takes so many connections at a time and no more, from now on.
    pub fn limits_connections(&self, most: usize) {
        self.shared.limit.store(most, Ordering::SeqCst);
    }

    /// Does what is usual, from now on.
    pub fn recovers(&self) {
        *self.shared.script.lock().unwrap() = Arc::new(|_| None);
    }

    /// Every mail that it was handed so far.
    pub fn handed(&self) -> Vec<Handed> {
        self.shared.handed.lock().unwrap().clone()
    }

    /// Every mail to this address so far.
    pub fn handed_to(&self, to: &str) -> Vec<Handed> {
        self.handed().into_iter().filter(|handed| handed.to == to).collect()
    }

    /// How often it heard a command that begins so.
    pub fn heard(&self, command: &str) -> usize {
        self.shared.heard.lock().unwrap().iter().filter(|line| line.starts_with(command)).count()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections were open at once, at most.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }
}

async fn turn_away(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"421 too many connections\r\n").await
}

impl Shared {
    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut to = String::new();
        if !self.does(&mut stream, "greeting", b"220 mail.example\r\n").await? {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            self.heard.lock().unwrap().push(line.to_owned());
            let usual: &[u8] = match line.split([' ', ':']).next().unwrap() {
                "EHLO" => b"250-mail.example\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            if let Some(address) = line.strip_prefix("RCPT TO:<") {
                to = address.trim_end_matches('>').to_owned();
            }
            if !self.does(&mut stream, line, usual).await? || line == "QUIT" {
                return Ok(());
            }
            if line == "DATA" {
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await? == 0 {
                        return Ok(());
                    }
                }
                self.handed.lock().unwrap().push(Handed { to: to.clone(), text });
                if !self.does(&mut stream, ".", b"250 taken\r\n").await? {
                    return Ok(());
                }
            }
        }
    }

    /// Answers; whether the dialogue goes on.
    async fn does(
        &self,
        stream: &mut BufReader<TcpStream>,
        step: &str,
        usual: &[u8],
    ) -> std::io::Result<bool> {
        let script = Arc::clone(&*self.script.lock().unwrap());
        let (says, goes_on) = match script(step) {
            None => (usual, true),
            Some(Does::Says(says)) => (says, !says.starts_with(b"421")),
            Some(Does::SaysAndCloses(says)) => (says, false),
            Some(Does::Closes) => (&b""[..], false),
            Some(Does::SaysAfter(millis, says)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                (says, true)
            }
            Some(Does::Silent) => {
                let mut rest = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(stream, &mut rest).await?;
                (&b""[..], false)
            }
        };
        stream.get_mut().write_all(says).await?;
        // A content that was not asked for is not read.
        Ok(goes_on && (step != "DATA" || says.starts_with(b"3")))
    }
}
