//! A headless browser: Chromium, driven by chromedriver over plain HTTP, as the W3C says in `WebDriver`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop::wait_for;

/// Keys that are no characters (`WebDriver`, section 17.4.2).
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

/// How a reference to an element is called (`WebDriver`, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const TIMEOUT: Duration = Duration::from_secs(90);

/// A browser with one window. It ends with this value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// All that it leaves behind.
    _folder: TempDir,
}

/// Something on a page.
struct Element(String);

impl Browser {
    /// A fresh one, without cookies.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium-driver is installed");
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.unwrap();
            line.rsplit_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("chromedriver says where it listens");
        // It must be able to go on talking.
        std::thread::spawn(move || said.for_each(drop));
        let mut browser = Self { driver, port, session: String::new(), _folder: folder };
        let options =
            json!({ "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en"] });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let session = browser
            .ask("POST", "/session", &json!({ "capabilities": { "alwaysMatch": capabilities } }))
            .unwrap();
        session["sessionId"].as_str().expect("Chromium starts").clone_into(&mut browser.session);
        browser
    }

    /// The same, in which no page may run scripts.
    pub fn without_scripts() -> Self {
        let browser = Self::start();
        browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        browser
    }

    /// Makes the window this large, in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Prefers `light` or `dark` from now on.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    pub fn open(&self, url: &str) {
        self.leave_by("/url", &json!({ "url": url }));
    }

    pub fn reload(&self) {
        self.leave_by("/refresh", &json!({}));
    }

    pub fn title(&self) -> String {
        self.tell("GET", "/title", &Value::Null).as_str().unwrap().to_owned()
    }

    /// All text that is seen; nothing while another page takes its place.
    pub fn text(&self) -> String {
        self.find_all("css selector", "body").iter().map(|body| self.text_of(body)).collect()
    }

    /// Waits until the page has this heading.
    #[track_caller]
    pub fn has_heading(&self, heading: &str) {
        wait_for(heading, || {
            let seen = self.find_all("css selector", "h1");
            (seen.iter().map(|element| self.text_of(element)).collect::<Vec<_>>() == [heading]).then_some(())
        });
    }

    /// Waits until the page says this.
    #[track_caller]
    pub fn says(&self, what: &str) {
        wait_for(what, || self.text().contains(what).then_some(()));
    }

    /// Presses the button with this on it, which brings another page.
    #[track_caller]
    pub fn press(&self, button: &str) {
        let button = self.find("xpath", &format!("//button[normalize-space()='{button}']"));
        self.leave_by(&format!("/element/{}/click", button.0), &json!({}));
    }

    /// Does what brings another page, and waits until this one is gone: chromedriver waits only where scripts run.
    #[track_caller]
    fn leave_by(&self, path: &str, body: &Value) {
        let page = self.find("css selector", "html");
        self.tell("POST", path, body);
        let look = format!("/element/{}/name", page.0);
        wait_for("another page", || self.try_to_tell("GET", &look, &Value::Null).is_err().then_some(()));
    }

    /// Types into the field with this label.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        let field = self.find("xpath", &format!("//input[@id=//label[normalize-space()='{label}']/@for]"));
        self.tell("POST", &format!("/element/{}/clear", field.0), &json!({}));
        self.tell("POST", &format!("/element/{}/value", field.0), &json!({ "text": text }));
    }

    /// Strikes keys, wherever the focus is.
    pub fn type_keys(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|stroke| json!({ "type": stroke, "value": key.to_string() }))
        });
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.tell("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// What the tester's own script, the body of a function, returns on this page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.tell("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the browser complained about since the last time it was asked.
    pub fn complaints(&self) -> Vec<String> {
        self.log("browser").iter().map(Value::to_string).collect()
    }

    /// Every address that was asked for anything since the last time.
    pub fn asked_for(&self) -> Vec<String> {
        let entries = self.log("performance").into_iter();
        let events = entries.map(|entry| {
            serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap()["message"].take()
        });
        let requests = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Keeps a picture of the page, if the environment names a folder for pictures: `SCREENSHOTS`.
    #[expect(clippy::disallowed_methods, reason = "no setting of the shop")]
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
        let picture = self.tell("GET", "/screenshot", &Value::Null);
        fs::create_dir_all(&folder).unwrap();
        let picture = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.tell("POST", "/se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }

    /// Waits until there is such an element: a page is seen before all of it is there.
    #[track_caller]
    fn find(&self, by: &str, what: &str) -> Element {
        wait_for(what, || self.find_all(by, what).pop())
    }

    fn find_all(&self, by: &str, what: &str) -> Vec<Element> {
        let found = self.tell("POST", "/elements", &json!({ "using": by, "value": what }));
        let found = found.as_array().unwrap().iter();
        found.map(|element| Element(element[ELEMENT].as_str().unwrap().to_owned())).collect()
    }

    fn text_of(&self, element: &Element) -> String {
        let path = format!("/element/{}/text", element.0);
        self.try_to_tell("GET", &path, &Value::Null)
            .unwrap_or_default()
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.tell("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    #[track_caller]
    fn tell(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_to_tell(method, path, body).unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    fn try_to_tell(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let value = self.ask(method, &format!("/session/{}{path}", self.session), body).unwrap();
        if value["error"].is_string() { Err(value) } else { Ok(value) }
    }

    /// The value in chromedriver's answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            let line = line.trim_end().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes)?;
        Ok(serde_json::from_slice::<Value>(&bytes)?["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes Chromium and its folder away with it.
        let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
