//! A headless Chromium, controlled over the DevTools protocol.
//!
//! In: an address. Out: values of scripts, the accessibility tree, pictures, a PDF, requests and errors. It reaches
//! loopback and files only. Dropping the handle ends it and removes its folder.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Time limit of one answer; a browser starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Host names and outside addresses do not resolve. The browser's own background requests are off.
const OPTIONS: [&str; 16] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// A browser with one page.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    /// Events that arrived before the answer to a call.
    events: VecDeque<Value>,
    session: String,
    last: u64,
    folder: PathBuf,
}

/// Requests and errors of loading a page.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Requested addresses, including the page's own.
    pub requests: Vec<String>,
    /// Errors and warnings of scripts, of the content security policy and of the network.
    pub complaints: Vec<String>,
}

impl Browser {
    /// Starts it with an empty page; `folder` must not exist, and is removed at the end.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // The protocol uses descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null", "sh", "chromium"])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", folder.display()))
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_CACHE_HOME", folder)
            .env_remove("DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start chromium")?;
        let input = child.stdin.take().context("chromium has no input")?;
        let output = child.stdout.take().context("chromium has no output")?;
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (events, session, folder) = (VecDeque::new(), String::new(), folder.to_owned());
        let mut browser = Self { child, input, messages, events, session, last: 0, folder };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"})).context(
            "chromium does not answer; `chromium --headless --no-sandbox --dump-dom about:blank` says why",
        )?;
        let attached = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attached)?;
        attached["sessionId"]
            .as_str()
            .context("chromium returned no session")?
            .clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Log", "Runtime", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// Goes to an address and waits until the page is complete.
    pub fn open(&mut self, url: &str) -> Result<Loaded> {
        self.events.clear();
        let gone = self.call("Page.navigate", &json!({"url": url}))?;
        if let Some(error) = gone["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        let mut loaded = Loaded::default();
        let end = Instant::now() + PATIENCE;
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.receive(end).with_context(|| format!("{url} did not load completely"))?,
            };
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Page.loadEventFired" => break,
                "Network.requestWillBeSent" => {
                    loaded.requests.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
                }
                "Network.loadingFailed" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                    loaded.complaints.push(params.to_string());
                }
                "Log.entryAdded" if params["entry"]["level"] != "verbose" => {
                    loaded.complaints.push(params["entry"].to_string());
                }
                _ => {}
            }
        }
        Ok(loaded)
    }

    /// The value of a script's expression.
    pub fn ask(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &asked)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression}: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].take())
    }

    /// The page as a screen reader sees it: every node of the accessibility tree that is not ignored.
    pub fn accessible(&mut self) -> Result<Vec<Value>> {
        let mut tree = self.call("Accessibility.getFullAXTree", &json!({}))?;
        let Value::Array(nodes) = tree["nodes"].take() else { bail!("no accessibility tree") };
        Ok(nodes.into_iter().filter(|node| node["ignored"] != true).collect())
    }

    /// Emulates a user's preference, `light` or `dark`, and a medium, `screen` or `print`.
    pub fn prefer(&mut self, scheme: &str, media: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"media": media, "features": features})).map(drop)
    }

    /// Sets the size of the window.
    pub fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// A PNG of the window.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        decode(&shot["data"])
    }

    /// The printed page.
    pub fn pdf(&mut self) -> Result<Vec<u8>> {
        let pdf =
            self.call("Page.printToPDF", &json!({"preferCSSPageSize": true, "printBackground": true}))?;
        decode(&pdf["data"])
    }

    /// Presses the key with this name.
    pub fn press(&mut self, key: &str, code: u32) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &event)?;
        }
        Ok(())
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.input.write_all(&bytes).context("chromium has ended")?;
        let end = Instant::now() + PATIENCE;
        loop {
            let mut message = self.receive(end).with_context(|| format!("no answer to {method}"))?;
            if message["id"] == self.last {
                return match message["error"]["message"].as_str() {
                    Some(error) => Err(anyhow!("{method}: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
            self.events.push_back(message);
        }
    }

    fn receive(&self, end: Instant) -> Result<Value> {
        let left = end.saturating_duration_since(Instant::now());
        self.messages.recv_timeout(left).context("chromium sent nothing in time, or has ended")
    }
}

fn decode(data: &Value) -> Result<Vec<u8>> {
    STANDARD.decode(data.as_str().context("no data")?).context("the data is not base64")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends its processes itself; if it does not, it is killed.
        let closing = json!({"id": 0, "method": "Browser.close"}).to_string() + "\0";
        let _gone = self.input.write_all(closing.as_bytes());
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let _ended = self.child.kill();
        let _status = self.child.wait();
        // Its last processes may still write there.
        while fs::remove_dir_all(&self.folder).is_err() && self.folder.exists() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
