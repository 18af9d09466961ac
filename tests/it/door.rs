//! The front door: settings and where they come from, the address, the token, help and usage.
//!
//! Not here: what is wrong with inputs (`bad_input.rs`), what is reported (`reports.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use simsync::exit::Exit;
use simsync::sandbox::{Faults, Sandbox, SandboxOptions};

use crate::support::{Ran, TOKEN, Workspace, export, ran};

/// Runs a command with these variables besides.
fn run_with(workspace: &Workspace, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = workspace.command(args);
    command.envs(variables.iter().copied());
    ran(command.output().unwrap())
}

/// Runs `sync` without the token in the environment.
fn sync_without_token(workspace: &Workspace, args: &[&str]) -> Ran {
    let mut command = workspace.sync_command(args);
    command.env_remove("SIMSYNC_TOKEN");
    ran(command.output().unwrap())
}

/// Asserts that nothing was sent and no state was made.
#[track_caller]
fn expect_untouched(workspace: &Workspace) {
    assert_eq!(workspace.sandbox.stats().requests, 0);
    assert!(!workspace.path("simsync-state").exists(), "no state is made before the settings are right");
}

#[track_caller]
fn expect_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stderr.contains(text), "`{text}` is missing in:\n{}", ran.stderr);
    }
}

#[test]
fn flag_wins_over_variable_over_file_over_default() {
    let workspace = Workspace::new();
    let text = "[delivery]\nrate = \"10/s\"\nmax_in_flight = 3\nburst = 2\n";
    workspace.write("simsync.toml", text);
    let variables = [("SIMSYNC_RATE", "20/s"), ("SIMSYNC_MAX_IN_FLIGHT", "5")];
    let shown = run_with(&workspace, &variables, &["config", "show", "--json", "--rate", "30/s"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let find = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap().clone()
    };
    let rate = find("delivery.rate");
    assert_eq!((rate["value"].as_str(), rate["origin"]["flag"].as_str()), (Some("30/s"), Some("--rate")));
    let in_flight = find("delivery.max_in_flight");
    assert_eq!(in_flight["value"], 5);
    assert_eq!(in_flight["origin"]["variable"], "SIMSYNC_MAX_IN_FLIGHT");
    let burst = find("delivery.burst");
    assert_eq!((burst["value"].as_u64(), burst["origin"]["line"].as_u64()), (Some(2), Some(4)));
    assert_eq!(find("delivery.attempts_max")["origin"]["kind"], "default");

    let shown = run_with(&workspace, &variables, &["config", "show", "--rate", "30/s"]).expect(0).stdout;
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("rate =").contains("\"30/s\"") && line("rate =").contains("# flag --rate"), "{shown}");
    assert!(line("max_in_flight =").ends_with("# env SIMSYNC_MAX_IN_FLIGHT"), "{shown}");
    assert!(line("burst =").contains("simsync.toml") && line("burst =").contains('4'), "{shown}");
    assert!(line("attempts_max =").ends_with("# default"), "{shown}");
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn what_config_show_prints_is_a_configuration_again() {
    let workspace = Workspace::new();
    workspace.write("first.toml", "[delivery]\nrate = \"7/m\"\n[columns]\nnumber = \"My Phone\"\n");
    let shown = workspace.run(&["config", "show", "--config", "first.toml"]).expect(0).stdout;
    workspace.write("second.toml", &shown);
    let again = workspace.run(&["config", "show", "--config", "second.toml"]).expect(0).stdout;
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" # ").next().unwrap_or("").trim().to_owned()).collect()
    };
    assert_eq!(values(&shown), values(&again));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let workspace = Workspace::new();
    workspace.write("simsync.toml", "# mine\n[delivery]\nmax_in_fligth = 8\n");
    workspace.write("a.csv", export(1));
    let url = workspace.sandbox.url();
    for args in [&["config", "check"][..], &["sync", "a.csv", "--api-url", &url], &["check", "a.csv"]] {
        let refused = workspace.run(args).expect(10);
        expect_says(&refused, &["simsync.toml:3", "max_in_fligth", "did you mean", "max_in_flight"]);
    }
    expect_untouched(&workspace);
}

#[test]
fn wrong_values_name_who_set_them() {
    let workspace = Workspace::new();
    let refused = run_with(&workspace, &[("SIMSYNC_RATE", "fast")], &["config", "check"]).expect(10);
    expect_says(&refused, &["SIMSYNC_RATE", "fast", "hint:", "200/s"]);
    expect_says(&workspace.run(&["config", "check", "--rate", "fast"]).expect(2), &["--rate", "fast"]);
    workspace.write("simsync.toml", "[delivery]\n\nrate = \"fast\"\n");
    expect_says(
        &workspace.run(&["config", "check"]).expect(10),
        &["simsync.toml:3", "delivery.rate", "200/s"],
    );
    workspace.write("simsync.toml", "[delivery\n");
    expect_says(&workspace.run(&["config", "check"]).expect(10), &["simsync.toml:1"]);
    let missing = workspace.run(&["config", "check", "--config", "none.toml"]).expect(10);
    expect_says(&missing, &["none.toml", "--config"]);
    fs::remove_file(workspace.path("simsync.toml")).unwrap();
    // A variable that means nothing stops no run, but it is told.
    workspace.write("a.csv", export(1));
    let url = workspace.sandbox.url();
    let args = ["sync", "a.csv", "--api-url", &url];
    let told = run_with(&workspace, &[("SIMSYNC_RATES", "1/s")], &args).expect(0);
    expect_says(&told, &["SIMSYNC_RATES", "did you mean SIMSYNC_RATE?"]);
}

#[test]
fn config_init_writes_the_example_and_replaces_nothing() {
    let workspace = Workspace::new();
    let example = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml")).unwrap();
    workspace.run(&["config", "init"]).expect(0);
    assert_eq!(fs::read(workspace.path("simsync.toml")).unwrap(), example, "byte for byte");
    assert!(workspace.run(&["config", "check"]).expect(0).stdout.contains("simsync.toml is valid"));
    workspace.write("simsync.toml", "# mine\n");
    let refused = workspace.run(&["config", "init"]).expect(10);
    expect_says(&refused, &["simsync.toml", "there is a file already", "--force"]);
    assert_eq!(fs::read(workspace.path("simsync.toml")).unwrap(), b"# mine\n");
    workspace.run(&["config", "init", "--force"]).expect(0);
    assert_eq!(fs::read(workspace.path("simsync.toml")).unwrap(), example);
    workspace.run(&["config", "init", "other.toml"]).expect(0);
    assert_eq!(fs::read(workspace.path("other.toml")).unwrap(), example);
    expect_says(&workspace.run(&["config", "init", "no/such/dir.toml"]).expect(10), &["no/such/dir.toml"]);
}

#[test]
fn there_is_no_default_target() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    for command in ["sync", "plan"] {
        let refused = workspace.run(&[command, "a.csv"]).expect(10);
        expect_says(&refused, &["no API address is set", "hint:", "api.url", "--api-url"]);
    }
    expect_untouched(&workspace);
}

#[test]
fn addresses_that_lose_the_token_or_the_body_are_refused() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    for (url, code, says) in [
        ("http://gate.example.net/api/v1/x/", 10, "plain http"),
        ("https://gate.example.net/api/v1/x", 10, "does not end with a slash"),
        // What is no address at all is a wrong value of the flag.
        ("https://user:hunter2@gate.example.net/x/", 2, "user name or password"),
        ("https://gate.example.net/x/?key=hunter2", 2, "query"),
        ("gate.example.net/api/v1/x/", 2, "https://"),
        ("ftp://gate.example.net/x/", 2, "https://"),
    ] {
        let refused = workspace.run(&["sync", "a.csv", "--api-url", url]).expect(code);
        expect_says(&refused, &[says, "hint:"]);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
    expect_untouched(&workspace);
}

#[test]
fn each_trouble_with_the_token_has_its_own_message() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    let refused = sync_without_token(&workspace, &["a.csv"]).expect(10);
    expect_says(&refused, &["there is no token", "api.token_file", "SIMSYNC_TOKEN"]);
    for (name, mode) in [("open", 0o644), ("empty", 0o600), ("two", 0o600), ("bearer", 0o600)] {
        let text = match name {
            "empty" => String::new(),
            "two" => format!("{TOKEN}\n{TOKEN}\n"),
            "bearer" => format!("Bearer {TOKEN}"),
            _ => TOKEN.to_owned(),
        };
        let path = workspace.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for (setting, says) in [
        ("token_file = \"none\"", &["token file", "none", "No such file"][..]),
        ("token_file = \"open\"", &["may be read by others", "644", "chmod 600"]),
        ("token_file = \"empty\"", &["token is empty"]),
        ("token_file = \"two\"", &["white space"]),
        ("token_file = \"bearer\"", &["Bearer"]),
        (
            "token_command = \"echo the vault is sealed >&2; exit 3\"",
            &["token command", "exit code 3", "the vault is sealed"],
        ),
        ("token_command = \"true\"", &["token is empty"]),
    ] {
        workspace.write("simsync.toml", format!("[api]\n{setting}\n"));
        let refused = sync_without_token(&workspace, &["a.csv"]).expect(10);
        expect_says(&refused, says);
        assert!(refused.stderr.contains("hint"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(TOKEN), "{}", refused.stderr);
    }
    expect_untouched(&workspace);
}

#[test]
fn a_token_is_no_flag() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    for args in [&["--token", "hunter2"][..], &["--token=hunter2"], &["--password=hunter2"]] {
        let refused = workspace.sync(&[&["a.csv"], args].concat()).expect(2);
        expect_says(&refused, &["there is no flag for a token", "SIMSYNC_TOKEN"]);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
    expect_untouched(&workspace);
}

/// Every file below a directory.
fn files_below(dir: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, into) } else { into.push(path) }
    }
}

#[test]
fn the_token_is_nowhere_to_be_seen() {
    // The second answer makes the first token wrong: refusals are where tokens leak.
    for (accepted, code) in [(TOKEN, 0), ("another", 12)] {
        let faults = Faults { latency_ms: 20, ..Faults::default() };
        let options = SandboxOptions { token: accepted.into(), faults, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options).unwrap();
        let workspace = Workspace { dir: tempfile::tempdir().unwrap(), sandbox };
        workspace.write("a.csv", export(40));
        let path = workspace.write("secret", TOKEN);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let sources = ["token_file = \"secret\"", "token_command = \"cat secret\"", ""];
        for (nth, source) in sources.into_iter().enumerate() {
            workspace.write("simsync.toml", format!("[api]\n{source}\n"));
            let before = workspace.sandbox.stats().requests;
            let state = format!("state-{nth}");
            let mut command =
                workspace.sync_command(&["a.csv", "-vv", "--max-in-flight", "2", "--state", &state]);
            if !source.is_empty() {
                command.env_remove("SIMSYNC_TOKEN");
            }
            let child = command.spawn().unwrap();
            workspace.wait_for_requests(before + 1);
            let command_line = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
            let ended = ran(child.wait_with_output().unwrap()).expect(code);
            let mut seen = vec![command_line, ended.stdout.into_bytes(), ended.stderr.into_bytes()];
            let mut files = Vec::new();
            files_below(&workspace.path(&state), &mut files);
            assert!(files.len() > 3, "{files:?}");
            seen.extend(files.iter().map(|path| fs::read(path).unwrap()));
            for bytes in seen {
                let shows = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
                assert!(!shows, "{source}: {}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let workspace = Workspace::new();
    let help = workspace.run(&["sync", "--help"]).expect(0).stdout;
    for exit in Exit::ALL {
        let words: Vec<&str> = exit.meaning().split_whitespace().take(2).collect();
        let line = format!("{:>3}  {}", exit.code(), words.join(" "));
        assert!(help.contains(&line), "`{line}` is missing in:\n{help}");
    }
    for command in ["plan", "check", "demo"] {
        let help = workspace.run(&[command, "--help"]).expect(0).stdout;
        assert!(help.to_lowercase().contains("exit code"), "{help}");
        assert!(help.contains("Examples:"), "{help}");
    }
    assert!(workspace.run(&["--help"]).expect(0).stdout.contains("simsync sync --help"));
    assert!(workspace.run(&["--version"]).expect(0).stdout.starts_with("simsync "));
}

#[test]
fn a_command_line_that_cannot_be_read_is_usage() {
    let workspace = Workspace::new();
    for args in [
        &[][..],
        &["sink"],
        &["sync"],
        &["sync", ""],
        &["sync", "a.csv", "--rates", "1/s"],
        &["sync", "a.csv", "-q", "-v"],
        &["sync", "a.csv", "--duplicates", "some"],
        &["sync", "a.csv", "--sandbox", "--api-url", "https://gate.example.net/x/"],
        &["sync", "a.csv", "--map", "fax=Fax"],
        &["check"],
        &["check", "--explain", "imei.lun"],
        &["show"],
    ] {
        let refused = workspace.run(args).expect(2);
        assert_eq!(refused.stdout, "", "{args:?}");
        assert!(!refused.stderr.is_empty(), "{args:?}");
    }
    expect_untouched(&workspace);
}
