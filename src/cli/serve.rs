//! `sandbox`: serves the embedded API until it is told to stop.
//!
//! Not here: the API (`sandbox/`).

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use super::common::print;
use super::fatal::Fatal;
use super::parts;
use super::{Faults, SandboxArgs};
use crate::engine::chance::Chance;
use crate::engine::signals::Signals;
use crate::exit::Exit;
use crate::sandbox::{self, Sandbox, SandboxOptions};

/// Serves until the first signal.
pub(super) fn serve(args: &SandboxArgs) -> Result<Exit, Fatal> {
    let mut faults = faults(args)?;
    if args.seed != 0 {
        faults.seed = args.seed;
    }
    let (token, is_made_up) = match &args.token_file {
        Some(path) => {
            let text = read(path, "name a readable file with --token-file")?;
            (text.trim_end_matches(['\n', '\r']).to_owned(), false)
        }
        None => (format!("sandbox-{:016x}", Chance::from_entropy().next_u64()), true),
    };
    let options = SandboxOptions {
        listen: args.listen,
        token: token.clone(),
        envelope: parts::sandbox_envelope(args.envelope),
        clears: sandbox::Clears::Both,
        faults,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::start(options)
        .map_err(|error| Fatal::new(Exit::Unexpected, error.to_string(), error.remedy()))?;
    let shown = if is_made_up { token.as_str() } else { "" };
    print(&greeting(&sandbox.url(), shown, args.json))?;
    let (stop, stopped) = mpsc::channel();
    let signals = Signals::listen()?;
    signals.tell(move |_| stop.send(()).unwrap_or_default());
    // The only sender lives in the signal thread, so this ends with a signal and with nothing else.
    stopped.recv().unwrap_or_default();
    sandbox.stop();
    Ok(Exit::Success)
}

fn read(path: &Path, hint: &str) -> Result<String, Fatal> {
    fs::read_to_string(path)
        .map_err(|error| Fatal::new(Exit::Config, format!("cannot read {}: {error}", path.display()), hint))
}

fn greeting(url: &str, token: &str, is_json: bool) -> String {
    if is_json {
        let token = if token.is_empty() { serde_json::Value::Null } else { token.into() };
        return format!("{}\n", serde_json::json!({ "type": "sandbox_started", "url": url, "token": token }));
    }
    let token = if token.is_empty() {
        "as in the file".to_owned()
    } else {
        format!("{token}   (made up for this sandbox; not a secret)")
    };
    format!(
        "url:   {url}\ntoken: {token}\n\nSIMSYNC_TOKEN=… simsync sync --api-url {url} export.csv\nstate: GET /sandbox/stats, /sandbox/subjects, /sandbox/requests; faults: POST /sandbox/faults; stop: Ctrl-C\n"
    )
}

fn faults(args: &SandboxArgs) -> Result<sandbox::Faults, Fatal> {
    let (text, from) = match &args.faults {
        None => return Ok(sandbox::Faults::default()),
        Some(Faults::Json(text)) => (text.clone(), "--faults".to_owned()),
        Some(Faults::File(path)) => {
            (read(path, "name a readable file of JSON with --faults")?, path.display().to_string())
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        Fatal::new(
            Exit::Config,
            format!("{from}: {error}"),
            "GET /sandbox/faults of a running sandbox shows every fault by name",
        )
    })
}
