//! What is stored, who holds what, what is repeated, and what the controls tell of it.

use super::*;

#[test]
fn the_first_present_field_identifies_the_subject() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    client.update(json!({ "user_external_id": "a", "number": "+447700900001", "imei": IMEI }));
    client.update(json!({ "number": "+447700900001", "user_class": "basic" }));
    client.update(json!({ "imei": IMEI, "generic_id": "g" }));
    client.update(json!({ "imei": IMEI }));
    let keys: Vec<_> = sandbox.subjects().into_iter().map(|view| (view.matched_by, view.key)).collect();
    let expected =
        [("user_external_id", "a"), ("number", "+447700900001"), ("generic_id", "g"), ("imei", IMEI)];
    assert_eq!(keys, expected.map(|(field, key)| (field, key.to_owned())));
    let sandbox = start_with(|options| options.match_by = vec![FieldKind::Imei]);
    assert_eq!(Client::new(&sandbox).update(json!({ "user_external_id": "a" })).status, 400);
}

#[test]
fn uniqueness_refuses_names_the_holder_or_steals() {
    let statuses = |uniqueness| {
        let sandbox = start(Faults { uniqueness, ..Faults::default() });
        let mut client = Client::new(&sandbox);
        let give = |client: &mut Client, who: &str, imsi: &str| {
            client.update(json!({ "user_external_id": who, "imsi": imsi }))
        };
        let mut got = vec![
            give(&mut client, "a", "234150000000001"),
            give(&mut client, "b", "234150000000001"),
            // Once its holder has another one, it is free: a chain of SIM swaps, sent again.
            give(&mut client, "a", "234150000000002"),
            give(&mut client, "b", "234150000000001"),
        ];
        let holder = sandbox.subject("a").unwrap().fields.get("imsi").cloned();
        (got.iter().map(|got| got.status).collect::<Vec<_>>(), got.swap_remove(1).body, holder)
    };
    let two = Some("234150000000002".to_owned());
    assert_eq!(statuses(Uniqueness::Off).0, [201; 4]);
    let (got, body, holder) = statuses(Uniqueness::Refuse409);
    assert_eq!((got, holder), (vec![201, 409, 201, 201], two.clone()));
    assert_eq!(body, r#"{"imsi":["imsi already assigned to a"]}"#);
    assert_eq!(statuses(Uniqueness::Refuse422).0, [201, 422, 201, 201]);
    let (got, _, holder) = statuses(Uniqueness::Steal);
    assert_eq!((got, holder), (vec![201; 4], two));
}

#[test]
fn a_stolen_identifier_is_gone() {
    let sandbox = start(Faults { uniqueness: Uniqueness::Steal, ..Faults::default() });
    let mut client = Client::new(&sandbox);
    client.update(json!({ "user_external_id": "a", "number": "+447700900001" }));
    client.update(json!({ "user_external_id": "b", "number": "+447700900001" }));
    assert!(!sandbox.subject("a").unwrap().fields.contains_key("number"));
    assert_eq!(sandbox.subject("b").unwrap().fields["number"], "+447700900001");
    // To take it back is a change, not a repetition.
    client.update(json!({ "user_external_id": "a", "number": "+447700900001" }));
    assert_eq!(sandbox.stats().duplicates, 0);
}

#[test]
fn a_repetition_is_a_duplicate_only_when_nothing_came_between() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let class = |class: &str| json!({ "user_external_id": "a", "user_class": class });
    for sent in ["gold", "basic", "gold"] {
        client.update(class(sent));
    }
    assert_eq!(sandbox.stats().duplicates, 0);
    client.update(fields(1));
    client.update(class("gold"));
    assert_eq!(sandbox.stats().duplicates, 1);
}

#[test]
fn keys_are_counted_and_honoured_where_asked_for() {
    let run = |honor| {
        let sandbox = start_with(|options| options.honor_idempotency_key = honor);
        let mut client = Client::new(&sandbox);
        let mut call = |class: &str, key: &str| {
            client.send_keyed(&json!({ "user_external_id": "a", "user_class": class }), key);
            client.read().unwrap().status
        };
        let got = [call("gold", "k1"), call("gold", "k1"), call("basic", "k2"), call("gold", "k1")];
        let other = call("silver", "k2");
        let stats = sandbox.stats();
        assert_eq!(stats.distinct_idempotency_keys, 2);
        (
            got,
            other,
            stats.applied,
            stats.replayed,
            sandbox.subject("a").unwrap().fields["user_class"].clone(),
        )
    };
    assert_eq!(run(false), ([201; 4], 201, 5, 0, "silver".to_owned()));
    assert_eq!(run(true), ([201; 4], 422, 2, 2, "basic".to_owned()));
}

#[test]
fn a_saved_answer_is_the_applications_and_not_the_faults() {
    let mut faults = Faults::default();
    faults.shares.error_500_after = 1.0;
    let sandbox = start_with(|options| {
        options.honor_idempotency_key = true;
        options.faults = faults;
    });
    let mut client = Client::new(&sandbox);
    client.send_keyed(&fields(1), "k");
    assert_eq!(client.read().unwrap().status, 500);
    sandbox.set_faults(Faults::default()).unwrap();
    client.send_keyed(&fields(1), "k");
    assert_eq!(client.read().unwrap().status, 201);
    assert_eq!((sandbox.stats().applied, sandbox.stats().replayed), (1, 1));
}

#[test]
fn cleared_fields_are_gone_and_echoed_as_null() {
    let sandbox = start_with(|options| options.clears = Clears::Both);
    let mut client = Client::new(&sandbox);
    client.update(json!({ "user_external_id": "a", "imsi": "234150000000001", "imei": IMEI }));
    let got = client.update(json!({ "user_external_id": "a", "imsi": null, "imei": "" }));
    assert_eq!((got.status, &got.json()["imsi"]), (201, &Value::Null));
    assert_eq!(sandbox.subject("a").unwrap().fields.len(), 1);
}

#[test]
fn the_controls_tell_everything_but_passwords() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let secret = "$2b$12$0123456789012345678901";
    client.send_keyed(
        &json!({ "user_external_id": "a/b c", "password": secret, "imsi": "234150000000001" }),
        "k1",
    );
    assert_eq!(client.read().unwrap().status, 201);
    client.update(json!({ "user_external_id": "a/b c", "imsi": "x" }));
    let get = |client: &mut Client, path: &str| client.call("GET", path, &[], "");

    let stats = get(&mut client, "/sandbox/stats").json();
    assert_eq!(
        (&stats["requests"], &stats["applied"], &stats["by_status"]["422"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let list = get(&mut client, "/sandbox/subjects");
    assert_eq!(list.json()[0]["fields"]["password"], "***");
    assert_eq!(list.json()[0].get("history"), None);
    let one = get(&mut client, "/sandbox/subjects/a%2Fb%20c");
    let history = &one.json()["history"];
    assert_eq!((&history[0]["seq"], &history[0]["applied"]), (&json!(1), &json!(true)));
    assert_eq!((&history[0]["idempotency_key"], &history[1]["status"]), (&json!("k1"), &json!(422)));
    assert_eq!(history[1]["fields"]["imsi"], "x");
    assert_eq!(get(&mut client, "/sandbox/subjects/nobody").status, 404);
    let lines = get(&mut client, "/sandbox/requests");
    let seqs: Vec<_> =
        lines.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2]);
    assert_eq!(get(&mut client, "/sandbox/requests?after=1&rows_max=5").body.lines().count(), 1);
    for shown in [list, one, lines] {
        assert!(!shown.body.contains(secret), "{}", shown.body);
    }
}

#[test]
fn the_controls_answer_to_loopback_names_only() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    for (host, status) in
        [("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("sandbox.example:80", 403), ("", 403)]
    {
        assert_eq!(client.call("GET", "/sandbox/stats", &[("Host", host)], "").status, status, "{host}");
    }
}

#[test]
fn a_reset_forgets_and_begins_the_faults_anew() {
    let outage = Outage { window: Window::Requests { from: 1, count: 1 }, how: OutageKind::Status(503) };
    let sandbox = start(Faults { outages: vec![outage], ..Faults::default() });
    let mut client = Client::new(&sandbox);
    assert_eq!([1, 1].map(|n| client.update(fields(n)).status), [503, 201]);
    assert_eq!(client.call("POST", "/sandbox/reset", &[], "").status, 204);
    let stats = sandbox.stats();
    assert_eq!((stats.requests, stats.subjects, stats.recorded, stats.in_flight), (0, 0, 0, 0));
    assert_eq!([1, 1].map(|n| client.update(fields(n)).status), [503, 201]);
}

#[test]
fn a_reset_survives_requests_under_way() {
    let mut faults = Faults::default();
    faults.shares.hang_after = 1.0;
    let sandbox = start(faults);
    let mut hung = Client::new(&sandbox);
    hung.send(&fields(1));
    wait_for(&sandbox, |stats| stats.in_flight == 1);
    sandbox.reset();
    // The same place in the book, in another life: two hang, and the end of the old one takes neither away.
    let mut others = [Client::new(&sandbox), Client::new(&sandbox)];
    others[0].send(&fields(2));
    wait_for(&sandbox, |stats| stats.in_flight == 2);
    drop(hung);
    wait_for(&sandbox, |stats| stats.in_flight == 1);
    others[1].send(&fields(2));
    wait_for(&sandbox, |stats| stats.in_flight == 2);
    assert_eq!((sandbox.stats().subject_in_flight_max, sandbox.stats().applied), (2, 2));
}

#[test]
fn the_history_is_bounded_and_the_counts_are_not() {
    let sandbox = start_with(|options| options.history_max = 3);
    let mut client = Client::new(&sandbox);
    for n in 0..5 {
        client.send_keyed(&fields(n), &format!("k{n}"));
        client.read().unwrap();
    }
    let stats = sandbox.stats();
    assert_eq!((stats.requests, stats.recorded, stats.distinct_idempotency_keys), (5, 3, 3));
    assert_eq!(sandbox.requests().len(), 3);
    assert_eq!(sandbox.subject("ext_4").unwrap().history.len(), 0);
}
