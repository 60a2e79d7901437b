//! A mail server as a shop would rent it, to throw away: Postfix, with Dovecot to check logins, from Debian's packages, in
//! a temporary folder and on ports of its own. Needs root, as Postfix does.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};

#[path = "mail.rs"]
mod mail;

pub use self::mail::Mail;

/// Who may send through it, with a login.
pub const USERNAME: &str = "shop@mail.example";
/// What proves it.
pub const PASSWORD: &str = "correct horse: battery/staple=";
/// Mail to this domain is taken, and to its sister `café.example`; to others it is refused.
pub const DOMAIN: &str = "example.com";
/// A sender that is refused: at once in the clear, and only once a recipient is named elsewhere, as servers differ in that.
pub const REFUSED_SENDER: &str = "banned@shop.example";
/// A recipient that is refused for good.
pub const REFUSED: &str = "refused@example.com";
/// A recipient whose mail is refused for now.
pub const FULL: &str = "full@example.com";
/// A recipient whose mail is refused when it has been read.
pub const DISLIKED: &str = "disliked@example.com";

/// How long to wait for it; only a test that fails waits for so long.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TLS from the first byte, with a login.
    Tls,
    /// STARTTLS, with a login.
    StartTls,
    /// In the clear, without a login.
    Plain,
    /// TLS with a certificate for another name.
    WrongName,
    /// TLS with a certificate that was good once.
    Expired,
    /// TLS with a certificate that vouches for itself.
    SelfSigned,
    /// TLS with one that did so once.
    SelfSignedExpired,
}

impl Listener {
    const ALL: [Self; 7] = [
        Self::Tls,
        Self::StartTls,
        Self::Plain,
        Self::WrongName,
        Self::Expired,
        Self::SelfSigned,
        Self::SelfSignedExpired,
    ];

    /// The value of `smtp.security`.
    pub const fn security(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Plain => "none",
            Self::Tls | Self::WrongName | Self::Expired | Self::SelfSigned | Self::SelfSignedExpired => "tls",
        }
    }
}

/// A running mail server. It ends with this value, or at the latest with the process.
pub struct MailServer {
    folder: PathBuf,
    ports: [u16; Listener::ALL.len()],
    keeper: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl MailServer {
    /// A fresh one, which takes mail through every listener.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("mail-server-").tempdir().unwrap().keep();
        // Postfix drops its rights before it gets there.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let ports = Listener::ALL.map(|_| free_port());
        make_certificates(&folder);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("username", USERNAME);
        write("password", PASSWORD);
        write("users", &format!("{USERNAME}:{{PLAIN.b64}}{}\n", BASE64_STANDARD.encode(PASSWORD)));
        write("dovecot.conf", &dovecot(&folder));
        write("disliked", &format!("/^To: {DISLIKED}$/ REJECT this looks like spam\n"));
        fs::create_dir(folder.join("postfix")).unwrap();
        write("postfix/main.cf", &postfix(&folder));
        write("postfix/master.cf", &services(ports));
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg(&folder).current_dir(&folder);
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut keeper = keeper.spawn().unwrap();
        let (orders, answers) = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().unwrap()));
        let mut server = Self { folder, ports, keeper, orders, answers };
        server.start_again();
        server
    }

    /// Ends it: nothing answers any more. Mails that it has taken stay.
    pub fn stop(&mut self) {
        self.order("stop");
        // Its children keep the ports open a little longer.
        for port in self.ports {
            self.wait_for("the mail server to end", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).err());
        }
    }

    /// Starts it again, on the same ports.
    pub fn start_again(&mut self) {
        self.order("start");
        for port in self.ports {
            self.wait_for("the mail server to listen", || {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
            });
        }
    }

    /// The port of a listener.
    pub fn port(&self, listener: Listener) -> u16 {
        let index = Listener::ALL.iter().position(|other| *other == listener).unwrap();
        self.ports[index]
    }

    /// The authority that its certificates are from, in PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The certificate that vouches for itself, or the one that did so once.
    pub fn self_signed(&self, listener: Listener) -> PathBuf {
        let name =
            if listener == Listener::SelfSigned { "self-signed.pem" } else { "self-signed-expired.pem" };
        self.folder.join(name)
    }

    /// Settings for a shop that sends through this listener: names without `COFFEESHOP_`, and values.
    pub fn settings(&self, listener: Listener) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        let mut settings = vec![
            ("MESSAGES__TRANSPORT", "smtp".to_owned()),
            ("SMTP__HOST", "localhost".to_owned()),
            ("SMTP__PORT", self.port(listener).to_string()),
            ("SMTP__SECURITY", listener.security().to_owned()),
        ];
        if listener != Listener::Plain {
            settings.extend([
                ("SMTP__CA_FILE", self.ca_file().to_str().unwrap().to_owned()),
                ("SMTP__USERNAME_FILE", path("username")),
                ("SMTP__PASSWORD_FILE", path("password")),
            ]);
        }
        settings
    }

    /// Every mail that arrived so far, in the order in which they were taken.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = fs::read_dir(self.folder.join("mails/all/new")) else { return Vec::new() };
        let mut mails: Vec<_> =
            entries.map(|entry| Mail::read(fs::read(entry.unwrap().path()).unwrap())).collect();
        mails.sort_by(|a, b| a.queue_id().cmp(b.queue_id()));
        mails
    }

    /// Every mail to this address so far.
    pub fn mails_to(&self, to: &str) -> Vec<Mail> {
        let mut mails = self.mails();
        mails.retain(|mail| mail.to == to);
        mails
    }

    /// The first mail to this address, as soon as it is there.
    #[track_caller]
    pub fn mail_to(&self, to: &str) -> Mail {
        self.wait_for(&format!("a mail to {to}"), || self.mails_to(to).into_iter().next())
    }

    /// What it wrote about itself.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("log") + &read("dovecot.log")
    }

    #[track_caller]
    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(
                start.elapsed() < TIMEOUT,
                "waited in vain for {what}; the mail server says:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(
            answer,
            "done\n",
            "are postfix and dovecot-core installed, and is this root?\n{}",
            self.log()
        );
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.keeper.wait();
    }
}

/// Runs both daemons and does as it is told. At the end of its input it removes everything.
const KEEPER: &str = r#"
set -e
trap "" INT
trap 'trap "" EXIT; kill $postfix $dovecot 2>/dev/null || true; wait; rm -rf "$0"' EXIT
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p data mails queue/pid
for name in active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace; do
    mkdir -m 700 queue/$name
    chown postfix queue/$name
done
chown postfix data
chown 65534 mails
dovecot -F -c "$0/dovecot.conf" >&2 &
dovecot=$!
while read -r order; do
    case $order in
    start)
        setsid "$(postconf -hd daemon_directory)/master" -c "$0/postfix" -d >&2 &
        postfix=$!
        ;;
    stop)
        kill $postfix
        { wait $postfix; } 2>/dev/null || true
        ;;
    esac
    echo done
done
"#;

fn dovecot(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "base_dir = {at}/dovecot
state_dir = {at}/dovecot
log_path = {at}/dovecot.log
protocols =
ssl = no
auth_mechanisms = plain login
disable_plaintext_auth = no
# Wrong logins of one test must not slow down the others.
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {at}/users
}}
service auth {{
  unix_listener {at}/queue/private/auth {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"
    )
}

fn postfix(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
maillog_file = {at}/log
maillog_file_prefixes = {at}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = inline:{{ {{{DOMAIN}=all}}, {{xn--caf-dma.example=all}} }}
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {at}/mails
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
# Names of queue files that sort as the mails came in.
enable_long_queue_ids = yes
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_tls_cert_file = {at}/localhost.pem
smtpd_tls_key_file = {at}/key.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_sender_restrictions = check_sender_access inline:{{ {{{REFUSED_SENDER}=REJECT not yours}} }}
smtpd_recipient_restrictions =
  check_recipient_access inline:{{
    {{{REFUSED}=550 5.1.1 no such person here}},
    {{{FULL}=452 4.2.2 their mailbox is full}} }}
header_checks = regexp:{at}/disliked
"
    )
}

fn services(ports: [u16; Listener::ALL.len()]) -> String {
    const LOGIN: &str =
        "-o smtpd_sasl_auth_enable=yes -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }";
    const INTERNAL: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
";
    let listeners = Listener::ALL.into_iter().zip(ports).map(|(listener, port)| {
        let options = match listener {
            Listener::Tls => format!("-o smtpd_tls_wrappermode=yes {LOGIN}"),
            Listener::StartTls => format!("-o smtpd_tls_security_level=encrypt {LOGIN}"),
            Listener::Plain => "-o smtpd_tls_security_level=none -o smtpd_delay_reject=no".to_owned(),
            Listener::WrongName => certified("wrong-name"),
            Listener::Expired => certified("expired"),
            Listener::SelfSigned => format!("{} {LOGIN}", certified("self-signed")),
            Listener::SelfSignedExpired => certified("self-signed-expired"),
        };
        format!("127.0.0.1:{port} inet n - n - - smtpd {options}\n")
    });
    INTERNAL.to_owned() + &listeners.collect::<String>()
}

fn certified(name: &str) -> String {
    format!("-o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file=$queue_directory/../{name}.pem")
}

/// An authority, and what it certifies: this machine, another one, and this one in a year long past.
fn make_certificates(folder: &Path) {
    const SETTINGS: &str = "[ca]
default_ca = ours
[ours]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[authority]
basicConstraints = CA:TRUE
";
    fs::write(folder.join("index"), "").unwrap();
    fs::write(folder.join("ca.conf"), SETTINGS).unwrap();
    let openssl = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {output:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca-key.pem -out ca.pem -subj /CN=Authority -days 30"));
    openssl(&format!(
        "req -new {key} -keyout key.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost -out here.csr"
    ));
    openssl(
        "req -new -key key.pem -subj /CN=other.example -addext subjectAltName=DNS:other.example -out other.csr",
    );
    let sign = "ca -batch -notext -config ca.conf -cert ca.pem -keyfile ca-key.pem";
    openssl(&format!("{sign} -days 30 -in here.csr -out localhost.pem"));
    openssl(&format!("{sign} -days 30 -in other.csr -out wrong-name.pem"));
    let long_past = "-startdate 20200101000000Z -enddate 20200201000000Z";
    openssl(&format!("{sign} {long_past} -in here.csr -out expired.pem"));
    // As people make one: openssl says of it that it is an authority.
    openssl(
        "req -x509 -key key.pem -out self-signed.pem -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    openssl(&format!(
        "ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -extensions authority {long_past} -in here.csr -out \
         self-signed-expired.pem"
    ));
}

/// A free port, below those that outgoing connections are given: it stays free while the server is down.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000).unwrap() * 11;
    loop {
        let port = 20000 + (start + TAKEN.fetch_add(1, Ordering::Relaxed)) % 12000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
