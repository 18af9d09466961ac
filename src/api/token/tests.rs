//! Token sources against real files and real commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::token_command::run;
use super::*;

fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    fs::write(&path, content).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
    (directory, path)
}

fn read(content: &[u8]) -> Result<String, TokenError> {
    let (_directory, path) = file(content, 0o600);
    let source = TokenSource::File { path, any_permissions: false };
    source.read().map(|token| token.expose_secret().to_owned())
}

fn command(text: &str) -> Result<String, TokenError> {
    TokenSource::Command(text.to_owned()).read().map(|token| token.expose_secret().to_owned())
}

#[test]
fn a_token_is_one_line_and_nothing_else() {
    for content in ["abc.DEF-1~2+/=", "abc.DEF-1~2+/=\n", "abc.DEF-1~2+/=\r\n"] {
        assert_eq!(read(content.as_bytes()).expect(content), "abc.DEF-1~2+/=");
    }
    for content in ["", "\n", "\r\n"] {
        assert!(matches!(read(content.as_bytes()), Err(TokenError::Empty)), "{content:?}");
    }
    for content in ["a b", " a", "a ", "a\nb", "a\n\n", "a\tb", "a\0", "t\u{f6}ken", "\u{feff}abc"] {
        assert!(matches!(read(content.as_bytes()), Err(TokenError::Characters)), "{content:?}");
    }
    assert!(matches!(read(b"\xff\xfe"), Err(TokenError::Characters)));
    assert!(matches!(read(b"Bearer abc"), Err(TokenError::Prefix)));
    assert!(matches!(read(b"bearer abc\n"), Err(TokenError::Prefix)));
}

#[test]
fn the_length_is_bounded() {
    let longest = "x".repeat(TOKEN_BYTES_MAX);
    assert_eq!(read(format!("{longest}\r\n").as_bytes()).expect("at the bound"), longest);
    assert!(matches!(read(format!("{longest}x").as_bytes()), Err(TokenError::TooLong)));
    assert!(matches!(read("x".repeat(10 * TOKEN_BYTES_MAX).as_bytes()), Err(TokenError::TooLong)));
    let printed = format!("head -c {} /dev/zero | tr '\\0' x", 1024 * TOKEN_BYTES_MAX);
    assert!(matches!(command(&printed), Err(TokenError::TooLong)));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o644, 0o660, 0o601] {
        let (_directory, path) = file(b"canary", mode);
        let read = |any_permissions| TokenSource::File { path: path.clone(), any_permissions }.read();
        let error = read(false).expect_err("refused");
        assert!(matches!(error, TokenError::Permissions { mode: seen, .. } if seen == mode), "{error}");
        assert!(error.remedy().contains("chmod 600"));
        assert_eq!(read(true).expect("allowed").expose_secret(), "canary");
    }
    for mode in [0o600, 0o400, 0o700] {
        let (_directory, path) = file(b"canary", mode);
        assert!(TokenSource::File { path, any_permissions: false }.read().is_ok(), "{mode:o}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let source = TokenSource::File { path: "/nowhere/token".into(), any_permissions: false };
    assert_eq!(
        source.read().expect_err("missing").to_string(),
        "failed to read the token file /nowhere/token"
    );
    let directory = TokenSource::File { path: "/".into(), any_permissions: true };
    assert!(matches!(directory.read(), Err(TokenError::File { .. })));
}

#[test]
fn a_systemd_credential_is_read_from_its_directory() {
    // With an ACL, the mode shows group bits though nobody else may read.
    let (directory, _path) = file(b"canary\n", 0o440);
    let source = TokenSource::Systemd { directory: directory.path().to_owned() };
    assert_eq!(source.read().expect("read").expose_secret(), "canary");
}

#[test]
fn values_passed_in_are_checked_too() {
    assert!(TokenSource::Env(SecretString::from("abc")).read().is_ok());
    assert!(matches!(TokenSource::Env(SecretString::from("")).read(), Err(TokenError::Empty)));
    assert!(matches!(TokenSource::Fixed(SecretString::from("a\rb")).read(), Err(TokenError::Characters)));
}

#[test]
fn a_command_prints_the_token() {
    assert_eq!(command("echo canary").expect("printed"), "canary");
    // More than a pipe holds, on the other stream, while the token waits.
    let noisy = "head -c 300000 /dev/zero >&2; printf canary";
    assert_eq!(command(noisy).expect("printed"), "canary");
    assert!(matches!(command("true"), Err(TokenError::Empty)));
    assert!(matches!(command("cat"), Err(TokenError::Empty)), "standard input is empty");
}

#[test]
fn a_failed_command_tells_its_first_line_without_the_token() {
    let script = "echo canaryABC; echo; echo 'no: canaryABC 12 \"x y\" refused' >&2; echo more >&2; exit 3";
    let error = command(&format!("{{ {script}; }}")).expect_err("failed");
    assert_eq!(error.to_string(), "the token command failed (exit code 3): no: # refused");
    let error = command("exit 1").expect_err("failed");
    assert_eq!(
        error.to_string(),
        "the token command failed (exit code 1): it said nothing on its standard error"
    );
    let error = command("kill -9 $$").expect_err("killed");
    assert!(error.to_string().contains("killed by a signal"), "{error}");
}

#[test]
fn a_command_that_does_not_end_is_ended() {
    let error = run("sleep 600", 50).expect_err("too slow");
    assert!(matches!(error, TokenError::Timeout { timeout_ms: 50 }), "{error}");
    // Its output stays open behind its end: what it printed cannot be known to be all.
    let directory = tempfile::tempdir().expect("a directory");
    let pid = directory.path().join("pid");
    let left_behind = format!("printf canary; sleep 600 & echo $! >{}", pid.display());
    assert!(matches!(run(&left_behind, 5_000), Err(TokenError::Timeout { .. })));
    run(&format!("kill $(cat {})", pid.display()), 5_000).expect("the sleeper is gone");
}

/// Runs itself again with a token in its environment: a process cannot change its own safely.
#[test]
fn a_command_does_not_inherit_the_token() {
    const INSIDE: &str = "SIMSYNC_TEST_TOKEN_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        assert!(std::env::var_os(TokenSource::ENV_NAME).is_some());
        assert_eq!(command("echo ${SIMSYNC_TOKEN-absent}").expect("printed"), "absent");
        return;
    }
    let mut inside = std::process::Command::new(std::env::current_exe().expect("this binary"));
    inside.args(["--exact", "api::token::tests::a_command_does_not_inherit_the_token"]);
    let output = inside.env(INSIDE, "1").env(TokenSource::ENV_NAME, "canary").output().expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_token_is_shown_nowhere() {
    let secret = SecretString::from("canary");
    let token = Token::new(3, &secret).expect("a header");
    assert_eq!(format!("{token:?}"), "Token(generation 3)");
    assert!(!format!("{:?}", token.header()).contains("canary"));
    for source in [
        TokenSource::Env(secret.clone()),
        TokenSource::Fixed(secret.clone()),
        TokenSource::Command("curl -u me:canary".into()),
    ] {
        assert!(!format!("{source:?} {}", source.describe()).contains("canary"));
    }
    let refused = read(b"canary canary").expect_err("refused");
    assert!(!format!("{refused} {refused:?} {}", refused.remedy()).contains("canary"));
    let failed = command("echo canary >&2; echo canary; exit 1").expect_err("failed");
    assert!(!format!("{failed} {failed:?}").contains("canary"));
}

#[test]
fn tokens_are_compared_by_text() {
    let token = |generation, text: &str| Token::new(generation, &SecretString::from(text)).expect("a header");
    assert!(token(1, "a").is_same(&token(2, "a")));
    assert!(!token(1, "a").is_same(&token(1, "b")));
    assert_eq!(token(1, "a").expose(), Some("a"));
}
