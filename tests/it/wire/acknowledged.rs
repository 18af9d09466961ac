//! 2xx: what is an acknowledgement, and what only looks like one.

use simsync::sandbox::{EchoStyle, Faults, Shares};

use super::http;
use super::scripted::{Heard, Scripted, answer, echo};
use crate::support::{Workspace, export, imei, ran};

/// What a server answers to a request.
type Second = &'static (dyn Fn(&Heard) -> String + Sync);

/// A scripted server's answers to a file of three rows, of which it acknowledges the first and the last by the book.
fn with_second_answer(second: Second) -> Case {
    let server =
        Scripted::start(move |ordinal, heard| if ordinal == 1 { second(heard) } else { echo(201, heard) });
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    let url = server.url();
    let args =
        ["sync", "--api-url", &url, "--rate", "unlimited", "--max-in-flight", "1", "--json", "crm.csv"];
    let ran = ran(workspace.command(&args).output().unwrap()).expect_books();
    Case { workspace, server, ran }
}

struct Case {
    workspace: Workspace,
    server: Scripted,
    ran: crate::support::Ran,
}

#[test]
fn a_201_that_echoes_what_was_sent_is_synced() {
    let case = with_second_answer(&|heard| echo(201, heard));
    let ran = case.ran.expect(0);
    assert_eq!((ran.rows("synced"), http(&ran, "201")), (3, 3));
    let heard = case.server.heard();
    assert_eq!(heard.len(), 3);
    let head = heard[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /api/v1/device_app_user_update/ http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nauthorization: bearer {}\r\n", crate::support::TOKEN)), "{head}");
    assert!(head.contains("\r\nidempotency-key: "), "{head}");
    let expected = serde_json::json!({
        "number": "+447910000000", "imei": imei(0), "user_external_id": "C-000000", "user_class": "basic"
    });
    assert_eq!(heard[0].update, expected);
}

#[test]
fn any_other_2xx_is_synced_when_its_body_agrees_or_is_empty() {
    let answers: [Second; 5] = [
        &|heard| echo(200, heard),
        &|heard| echo(202, heard),
        &|_| "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
        &|_| answer(200, "application/json", "{}"),
        &|_| answer(201, "text/plain", ""),
    ];
    for second in answers {
        let ran = with_second_answer(second).ran.expect(0);
        assert_eq!((ran.rows("synced"), ran.summary()["retries"].as_u64()), (3, Some(0)));
    }
}

#[test]
fn a_2xx_that_says_otherwise_is_a_failure_and_is_not_repeated() {
    let answers: [(Second, &str); 6] = [
        (&|_| answer(200, "text/plain", "Log in"), "200 answer is not JSON"),
        (&|_| answer(201, "application/json", "[]"), "201 answer is no JSON object"),
        (&|_| answer(201, "application/json", "{\"status\":\"queued\"}"), "201 status is not success"),
        (
            &|_| answer(200, "application/json", "{\"status\":\"error\",\"message\":\"no\"}"),
            "200 status is not success",
        ),
        (&|_| answer(201, "application/json", "{\"user_class\":\"gold\"}"), "201 echo differs in user_class"),
        (&|heard| echo(201, heard).replace("+4479", "+4478"), "201 echo differs in number"),
    ];
    for (second, signature) in answers {
        let case = with_second_answer(second);
        let ran = case.ran.expect(3);
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (2, 1), "{signature}");
        assert_eq!(case.server.heard().len(), 3, "{signature}: sent once");
        super::assert_failed_row(&case.workspace, 1, "echo-mismatch", signature);
        let rows = case.workspace.last_rows("failed.csv");
        assert_eq!(rows[0]["_detail"], "it may have been applied");
        // Nobody knows what the server holds now: the same row is news, its neighbours are not.
        let args = ["sync", "--api-url", &case.server.url(), "--json", "crm.csv"];
        let again = case.workspace.run(&args).expect(0).expect_books();
        assert_eq!((again.rows("synced"), again.rows("unchanged")), (1, 2), "{signature}");
    }
}

#[test]
fn the_sandboxs_own_lies_are_seen_through() {
    type Lie = (&'static str, fn(&mut Shares));
    let lies: [Lie; 3] = [
        ("201 echo differs in", |shares| shares.wrong_echo = 1.0),
        ("201 status is not success", |shares| shares.wrong_status = 1.0),
        ("201 answer is too long", |shares| shares.oversized_body = 1.0),
    ];
    for (signature, set) in lies {
        let workspace = Workspace::new();
        workspace.write("crm.csv", export(4));
        workspace.sync(&["crm.csv"]).expect(0);
        let mut shares = Shares::default();
        set(&mut shares);
        workspace.fault(Faults { shares, ..Faults::default() });
        workspace.write("next.csv", export(4).replace("C-000002", "C-NEW"));
        let ran = workspace.sync(&["next.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("unchanged"), workspace.history("C-NEW").len()), (1, 3, 1));
        let rows = workspace.last_rows("failed.csv");
        assert!(rows[0]["_signature"].starts_with(signature), "{}", rows[0]["_signature"]);
        // It was applied all the same; only asking again can tell.
        workspace.fault(Faults::default());
        assert_eq!(workspace.sync(&["next.csv"]).expect(0).rows("synced"), 1);
        assert_eq!(workspace.history("C-NEW").len(), 2);
    }
}

#[test]
fn an_empty_body_and_another_spelling_of_the_same_values_are_acknowledgements() {
    let faults = [
        Faults { shares: Shares { empty_body: 1.0, ..Shares::default() }, ..Faults::default() },
        Faults { echo: EchoStyle::Reformatted, ..Faults::default() },
    ];
    for faults in faults {
        let workspace = Workspace::with(faults);
        workspace.write("crm.csv", export(4));
        let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), workspace.sandbox.stats().requests), (4, 4));
    }
}
