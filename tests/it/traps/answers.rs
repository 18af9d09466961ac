//! Traps 7 to 10: what an answer means, what a byte means, and what an exit code says of both.

use rustix::process::Signal;
use simsync::sandbox::{Faults, OutageKind, Shares, Window};

use super::{HASTY, answering, key};
use crate::support::{TOKEN, Workspace, export, ran, signal};
use crate::wire::scripted::{Scripted, echo};

/// One tool takes 200 alone for a success, an empty body for an error, and headers of a limit for a reason to go on
/// trying.
#[test]
fn trap_07_2xx_is_success_with_any_body_or_headers() {
    const LIMITS: &str = "X-RateLimit-Limit: 1000\r\nX-RateLimit-Remaining: 900\r\nX-RateLimit-Reset: 60\r\n\
                          RateLimit-Limit: 1000\r\nRateLimit-Remaining: 900\r\nRateLimit-Reset: 60\r\n";
    let server = Scripted::start(|ordinal, heard| {
        let whole = match ordinal % 4 {
            0 => echo(201, heard),
            1 => echo(200, heard),
            2 => "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
        };
        whole.replacen("\r\n", &format!("\r\n{LIMITS}"), 1)
    });
    let ws = Workspace::new();
    ws.write("crm.csv", export(30));
    let url = server.url();
    let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
    let ran = ws.run(&args).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.summary()["retries"].as_u64()), (30, Some(0)));
    assert_eq!(server.heard().len(), 30, "one POST for each row");
    assert_eq!(ws.run(&args).expect(0).rows("unchanged"), 30);
    assert_eq!(server.heard().len(), 30);
}

/// A definite no is no different the sixth time.
#[test]
fn trap_08_a_definite_refusal_burns_no_retries() {
    for status in [400, 404, 422] {
        let ws = Workspace::with(answering(&[(&key(3), status)]));
        ws.write("crm.csv", export(8));
        let ran = ws.sync(&["crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("synced")), (1, 7), "{status}");
        assert_eq!(ws.history(&key(3)).len(), 1, "{status}: asked once");
        assert_eq!(ws.sandbox.stats().requests, 8, "{status}");
    }
    // A refused token is nobody's row's fault, and asking again with it is none the wiser.
    let ws = Workspace::new();
    ws.write("crm.csv", export(50));
    let mut command = ws.sync_command(&["crm.csv", "--max-in-flight", "4"]);
    let ran = ran(command.env("SIMSYNC_TOKEN", "not-the-token").output().unwrap()).expect(12).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (0, 50));
    let requests = ws.sandbox.stats().requests;
    assert!(
        (1..=4).contains(&requests),
        "{requests}: no more than were on the wire when the first was refused"
    );
    let ran = ws.sync(&["crm.csv"]).expect(0);
    assert_eq!(ran.rows("synced"), 50, "no row has lost anything by it");
}

/// One tool sends what it cannot read as an empty text, and counts it as a success.
#[test]
fn trap_09_unreadable_bytes_reject_and_never_blank_a_field() {
    let head = b"crm id,login,tier\nC-1,ann,basic\n".as_slice();
    // Bytes that are no UTF-8: nobody knows what the rest of the file is, so nothing is sent.
    let ws = Workspace::new();
    ws.write("crm.csv", [head, b"C-2,caf\xe9,basic\nC-3,cyd,basic\n"].concat());
    let ran = ws.sync(&["crm.csv"]).expect(6);
    assert!(ran.stderr.contains("line 3") && ran.stderr.contains("UTF-8"), "{}", ran.stderr);
    assert_eq!(ws.sandbox.stats().requests, 0);
    // Told what they are, they are what they say.
    let ran = ws.sync(&["crm.csv", "--encoding", "windows-1252"]).expect(0);
    assert_eq!(ran.rows("synced"), 3);
    assert_eq!(ws.at_server("C-2", "username").as_deref(), Some("café"));
    // A row that cannot be read for itself is rejected with its place, its neighbours are sent.
    let ws = Workspace::new();
    ws.write("crm.csv", [head, b"C-2,b\0b,basic\nC-3,cyd,basic\nC-4,dot\n"].concat());
    let ran = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (2, 2));
    let rejected: Vec<String> = ws
        .last_rows("rejected.csv")
        .iter()
        .map(|row| format!("{} {}", row["_line"], row["_reason"]))
        .collect();
    assert_eq!(rejected, ["3 csv.nul", "5 csv.ragged_short"]);
    for request in ws.sandbox.requests() {
        assert!(request.fields.values().all(|value| value.as_ref().is_some_and(|value| !value.is_empty())));
        assert_eq!(request.fields.len(), 3, "every cell of the row was sent");
    }
    assert_eq!(ws.arrivals().len(), 2);
}

/// A schedule that believes the exit code must not believe a half-done run.
#[test]
fn trap_10_no_run_that_stopped_or_left_rows_exits_with_0() {
    let outage = |how| Faults {
        outages: vec![simsync::sandbox::Outage {
            window: Window::Requests { from: 1, count: 1_000_000 },
            how,
        }],
        ..Faults::default()
    };
    let everyone = |status| Faults {
        shares: Shares { statuses: [(status, 1.0)].into(), ..Shares::default() },
        ..Faults::default()
    };
    let half: String =
        (0..60).map(|row| format!("C-{row},{}\n", if row % 2 == 0 { "12" } else { "" })).collect();
    let cases: [(&str, Faults, String, &[&str], i32); 7] = [
        ("a row was refused", answering(&[(&key(1), 422)]), export(10), &[], 3),
        ("a row was rejected", Faults::default(), export(10) + "C-X,12ab,,basic\n", &[], 3),
        ("all are refused", everyone(422), export(60), &[], 4),
        ("errors beyond the budget", answering(&[(&key(9), 422)]), export(40), &["--max-errors", "0"], 4),
        ("a gate", Faults::default(), format!("crm id,mobile\n{half}"), &[], 4),
        ("the API is down", outage(OutageKind::Status(503)), export(10), &[], 5),
        ("a limit", Faults::default(), export(10), &["--max-rows", "3"], 8),
    ];
    for (what, faults, text, args, code) in cases {
        let ws = Workspace::with(faults);
        ws.configure(&HASTY.replace("[api]", "outage_max = \"300ms\"\n[api]"));
        ws.write("crm.csv", text);
        let ran = ws.sync(&[&["crm.csv", "--max-in-flight", "1"], args].concat());
        assert_eq!(ran.code, code, "{what}: {}{}", ran.stdout, ran.stderr);
        let ran = ran.expect_books();
        assert_eq!(ran.summary()["exit_code"], code, "{what}");
        assert!(ran.rows("synced") < ran.rows("read"), "{what}");
        let shown = ws.run(&["show", "latest"]).expect(0).stdout;
        assert!(shown.contains(&format!("exit {code}:")), "{what}: {shown}");
    }
    let ws = Workspace::with(Faults { latency_ms: 40, ..Faults::default() });
    ws.write("crm.csv", export(200));
    for (asked, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let seen = ws.sandbox.stats().requests;
        let child = ws
            .sync_command(&["crm.csv", "--max-in-flight", "2"])
            .env("SIMSYNC_TOKEN", TOKEN)
            .spawn()
            .unwrap();
        ws.wait_for_requests(seen + 4);
        signal(child.id(), asked);
        ran(child.wait_with_output().unwrap()).expect(code).expect_books();
    }
}
