//! `api.verify`: what has to be in a 2xx before it counts as an acknowledgment.

use super::scripted::{Scripted, answer, echo};
use crate::support::{Workspace, export, finish};

/// What a file of one row comes to: synced, or failed with this signature.
fn verdict(kind: &str, respond: fn(&super::scripted::Heard) -> String) -> Result<(), String> {
    let server = Scripted::start(move |_, heard| respond(heard));
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(1));
    let url = server.url();
    let args = ["sync", "--api-url", &url, "--verify", kind, "--rate", "unlimited", "--json", "crm.csv"];
    let ran = finish(workspace.command(&args)).expect_books();
    assert_eq!(server.heard().len(), 1, "neither is tried again");
    if ran.rows("synced") == 1 {
        assert_eq!(ran.code, 0);
        return Ok(());
    }
    assert_eq!(ran.code, 3);
    let row = workspace.last_rows("failed.csv").remove(0);
    assert_eq!(row["_reason"], "echo-mismatch");
    Err(row["_signature"].clone())
}

#[test]
fn each_kind_of_verification_asks_for_less() {
    let agrees = |heard: &_| echo(201, heard);
    let other_value = |_: &_| answer(201, "application/json", r#"{"status":"success","user_class":"gold"}"#);
    let other_status = |_: &_| answer(201, "application/json", r#"{"status":"queued"}"#);
    let no_object = |_: &_| answer(200, "text/plain", "log in");
    for kind in ["echo", "status", "none"] {
        assert_eq!(verdict(kind, agrees), Ok(()), "{kind}");
        assert_eq!(verdict(kind, |_| answer(201, "text/plain", "")), Ok(()), "{kind}");
    }
    assert_eq!(verdict("echo", other_value), Err("201 echo differs in user_class".to_owned()));
    assert_eq!(verdict("status", other_value), Ok(()));
    assert_eq!(verdict("none", other_value), Ok(()));
    for kind in ["echo", "status"] {
        let told = verdict(kind, other_status).expect_err(kind);
        assert!(told.starts_with("201 status is not success"), "{told}");
        assert_eq!(verdict(kind, no_object), Err("200 answer is not JSON".to_owned()), "{kind}");
    }
    assert_eq!(verdict("none", other_status), Ok(()));
    assert_eq!(verdict("none", no_object), Ok(()));
}

#[test]
fn without_any_a_broken_body_is_an_acknowledgment_too() {
    let cut =
        |_: &_| "HTTP/1.1 201 Created\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"sta".to_owned();
    assert_eq!(verdict("none", cut), Ok(()));
    let packed = |_: &_| {
        "HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\nConnection: close\r\n\r\nzip"
            .to_owned()
    };
    assert_eq!(verdict("none", packed), Ok(()));
    assert_eq!(
        verdict("status", packed),
        Err("201 answer is compressed, which was not asked for".to_owned())
    );
}

#[test]
fn a_refusal_is_one_under_every_kind() {
    for kind in ["echo", "status", "none"] {
        let server = Scripted::start(|_, _| answer(422, "application/json", r#"{"detail":"no"}"#));
        let workspace = Workspace::new();
        workspace.write("crm.csv", export(1));
        let url = server.url();
        let args = ["sync", "--api-url", &url, "--verify", kind, "--json", "crm.csv"];
        assert_eq!(finish(workspace.command(&args)).expect(3).rows("failed"), 1, "{kind}");
    }
}
