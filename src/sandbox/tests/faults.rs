//! Every fault, seen by a client, and what the records say about it.

use super::*;

/// What a client sees of one request.
fn seen(client: &mut Client, sent: &Value) -> Result<Got, ErrorKind> {
    client.send(sent);
    client.read().map_err(|error| error.kind())
}

fn shares(change: impl FnOnce(&mut Shares)) -> Faults {
    let mut faults = Faults::default();
    change(&mut faults.shares);
    faults
}

#[test]
fn a_fault_before_applies_nothing_and_a_fault_after_everything() {
    type Case = (fn(&mut Shares), &'static str, Option<u16>, bool);
    let cases: [Case; 13] = [
        (|shares| shares.error_500_before = 1.0, "status", Some(500), false),
        (|shares| shares.unavailable_503 = 1.0, "status", Some(503), false),
        (|shares| shares.too_many_429 = 1.0, "status", Some(429), false),
        (|shares| shares.statuses = [(502, 1.0)].into(), "status", Some(502), false),
        (|shares| shares.redirect_307 = 1.0, "redirect_307", Some(307), false),
        (|shares| shares.reset_before = 1.0, "reset_before", None, false),
        (|shares| shares.reset_after = 1.0, "reset_after", None, true),
        (|shares| shares.error_500_after = 1.0, "error_500_after", Some(500), true),
        (|shares| shares.wrong_echo = 1.0, "wrong_echo", Some(201), true),
        (|shares| shares.wrong_status = 1.0, "wrong_status", Some(201), true),
        (|shares| shares.garbage_body = 1.0, "garbage_body", Some(201), true),
        (|shares| shares.empty_body = 1.0, "empty_body", Some(201), true),
        (|shares| shares.oversized_body = 1.0, "oversized_body", Some(201), true),
    ];
    for (change, name, status, applied) in cases {
        let sandbox = start(shares(change));
        let got = seen(&mut Client::new(&sandbox), &fields(1));
        assert_eq!(got.as_ref().map(|got| got.status).ok(), status, "{name}");
        let record = &sandbox.requests()[0];
        assert_eq!((record.fault, record.status, record.applied), (Some(name), status, applied), "{name}");
        let subject = sandbox.subject("ext_1").unwrap();
        assert_eq!((subject.applied, subject.fields.is_empty()), (u64::from(applied), !applied), "{name}");
        assert_eq!(sandbox.stats().by_fault, [(name, 1)].into());
    }
}

#[test]
fn a_reset_is_a_reset() {
    let changes: [fn(&mut Shares); 2] = [|s| s.reset_before = 1.0, |s| s.reset_after = 1.0];
    for change in changes {
        let sandbox = start(shares(change));
        let got = seen(&mut Client::new(&sandbox), &fields(1));
        // An orderly close would be UnexpectedEof.
        assert_eq!(got.unwrap_err(), ErrorKind::ConnectionReset);
        assert_eq!(sandbox.stats().unanswered, 1);
    }
}

#[test]
fn a_hang_lasts_until_the_client_goes() {
    for (change, applied) in
        [((|shares| shares.hang_before = 1.0) as fn(&mut Shares), 0), (|shares| shares.hang_after = 1.0, 1)]
    {
        let sandbox = start(shares(change));
        let mut client = Client::new(&sandbox);
        client.stream.get_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let kind = seen(&mut client, &fields(1)).unwrap_err();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
        assert_eq!((sandbox.stats().in_flight, sandbox.stats().applied), (1, applied));
        drop(client);
        wait_for(&sandbox, |stats| stats.in_flight == 0 && stats.connections_open == 0);
    }
}

#[test]
fn an_answer_is_cut_in_the_middle() {
    let sandbox = start(shares(|shares| shares.cut_answer = 1.0));
    let mut client = Client::new(&sandbox);
    client.send(&fields(1));
    let mut all = Vec::new();
    client.stream.read_to_end(&mut all).unwrap();
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    assert!(!text.contains("\"success\""), "{text}");
    assert_eq!(sandbox.stats().applied, 1);
}

#[test]
fn spoilt_bodies_are_spoilt_as_named() {
    let body = |change: fn(&mut Shares)| {
        let sandbox = start(shares(change));
        Client::new(&sandbox).update(json!({
            "user_external_id": "ext_1", "imei": IMEI, "password": "$2b$12$x",
        }))
    };
    let echo = body(|shares| shares.wrong_echo = 1.0).json();
    // The lie is told about a field that is compared: never about the password.
    assert_eq!(
        (&echo["imei"], &echo["user_external_id"], &echo["password"], &echo["status"]),
        (&json!(IMEI), &json!("ext_0"), &json!("$2b$12$x"), &json!("success"))
    );
    assert_eq!(body(|shares| shares.wrong_status = 1.0).json()["status"], "queued");
    assert!(serde_json::from_str::<Value>(&body(|shares| shares.garbage_body = 1.0).body).is_err());
    assert_eq!(body(|shares| shares.empty_body = 1.0).body, "");
    assert!(body(|shares| shares.oversized_body = 1.0).body.len() > OVERSIZED_BYTES);
    let moved = body(|shares| shares.redirect_307 = 1.0);
    assert_eq!(moved.header("location"), Some("/api/v1/moved/"));
}

#[test]
fn faults_after_leave_refusals_alone() {
    let sandbox = start(shares(|shares| shares.reset_after = 1.0));
    let mut client = Client::new(&sandbox);
    assert_eq!(client.update(json!({ "user_external_id": "a", "imsi": "x" })).status, 422);
    assert_eq!(sandbox.stats().by_fault, [].into());
}

#[test]
fn equal_seeds_and_arrivals_meet_equal_faults() {
    let run = |seed| {
        let mut faults = shares(|shares| {
            shares.error_500_before = 0.2;
            shares.error_500_after = 0.2;
            shares.too_many_429 = 0.1;
        });
        faults.seed = seed;
        let sandbox = start(faults);
        let mut client = Client::new(&sandbox);
        (0..200).map(|n| client.update(fields(n)).status).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn an_outage_by_requests_ends_by_itself() {
    let how = OutageKind::Status(503);
    let window = Window::Requests { from: 3, count: 2 };
    let sandbox = start(Faults {
        outages: vec![Outage { window, how }],
        retry_after: RetryAfter::Seconds(9),
        ..Faults::default()
    });
    let mut client = Client::new(&sandbox);
    let got: Vec<_> = (1..=6).map(|n| client.update(fields(n))).collect();
    assert_eq!(got.iter().map(|got| got.status).collect::<Vec<_>>(), [201, 201, 503, 503, 201, 201]);
    assert_eq!(got[2].header("retry-after"), Some("9"));
    // The fifth request ends the outage, whoever sends it.
    let outage = sandbox.requests().iter().map(|record| record.fault == Some("outage")).collect::<Vec<_>>();
    assert_eq!(outage, [false, false, true, true, false, false]);
}

#[test]
fn an_outage_by_time_holds_its_window() {
    let window = Window::Time { from_ms: 100, for_ms: 50 };
    let held: Vec<_> = [0, 99, 100, 149, 150, 5000].map(|at| window.holds(1, at)).into();
    assert_eq!(held, [false, false, true, true, false, false]);
    let whole = Outage { window: Window::Time { from_ms: 0, for_ms: u64::MAX }, how: OutageKind::Reset };
    let sandbox = start(Faults { outages: vec![whole], ..Faults::default() });
    assert_eq!(seen(&mut Client::new(&sandbox), &fields(1)).unwrap_err(), ErrorKind::ConnectionReset);
    sandbox.set_faults(Faults::default()).unwrap();
    assert_eq!(Client::new(&sandbox).update(fields(1)).status, 201);
}

#[test]
fn a_second_token_takes_over() {
    let after = TokenAfter { requests: 2, token: "second".to_owned() };
    let sandbox = start(Faults { token_after: Some(after), ..Faults::default() });
    let mut client = Client::new(&sandbox);
    let first: Vec<_> = (1..=4).map(|n| client.update(fields(n)).status).collect();
    assert_eq!(first, [201, 201, 401, 401]);
    let headers = [("Authorization", "Bearer second"), ("Content-Type", "application/json")];
    let body = json!({ "data": fields(5).to_string() }).to_string();
    assert_eq!(client.call("POST", ENDPOINT_PATH, &headers, &body).status, 201);
    assert_eq!(sandbox.stats().applied, 3);
}

#[test]
fn chosen_subjects_and_values_are_refused() {
    let sandbox = start(Faults {
        subject_statuses: [("ext_1".to_owned(), 403), ("ext_2".to_owned(), 500)].into(),
        refused_values: [IMEI.to_owned()].into(),
        ..Faults::default()
    });
    let mut client = Client::new(&sandbox);
    assert_eq!([1, 2, 3].map(|n| client.update(fields(n)).status), [403, 500, 201]);
    let got = client.update(json!({ "user_external_id": "ext_3", "imei": IMEI }));
    assert_eq!((got.status, got.json()), (422, json!({ "imei": ["This value is not accepted."] })));
}

#[test]
fn first_attempts_fail_for_each_subject() {
    let first = FailFirst { attempts: 2, status: 503 };
    let sandbox = start(Faults { fail_first: Some(first), ..Faults::default() });
    let mut client = Client::new(&sandbox);
    let got = [1, 2, 1, 2, 2, 1, 1].map(|n| client.update(fields(n)).status);
    assert_eq!(got, [503, 503, 503, 503, 201, 201, 201]);
}

#[test]
fn above_the_rate_there_is_429_and_when_to_come_back() {
    let rate = RateMax { per_s: 1, burst: 3 };
    let sandbox = start(Faults { rate_max: Some(rate), ..Faults::default() });
    let mut client = Client::new(&sandbox);
    let got: Vec<_> = (0..5).map(|n| client.update(fields(n))).collect();
    assert_eq!(got[..3].iter().map(|got| got.status).collect::<Vec<_>>(), [201; 3]);
    // Five requests take far less than the second after which there would be room.
    assert_eq!((got[4].status, got[4].header("retry-after")), (429, Some("1")));
    assert_eq!(got[0].header("retry-after"), None);
}

#[test]
fn a_connection_is_closed_after_its_requests() {
    let sandbox = start(Faults { connection_requests_max: Some(2), ..Faults::default() });
    let mut client = Client::new(&sandbox);
    assert_eq!(client.update(fields(1)).header("connection"), None);
    assert_eq!(client.update(fields(2)).header("connection"), Some("close"));
    assert_eq!(client.read().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(Client::new(&sandbox).update(fields(3)).status, 201);
    assert_eq!(sandbox.stats().connections, 2);
}

#[test]
fn an_echo_may_be_written_otherwise() {
    let sandbox = start(Faults { echo: EchoStyle::Reformatted, ..Faults::default() });
    let got = Client::new(&sandbox).update(json!({
        "user_external_id": "a", "number": "+447700900123", "iccid": "8944110065001234567",
    }));
    assert_eq!(
        (&got.json()["number"], &got.json()["iccid"]),
        (&json!("447700900123"), &json!("8944110065001234567F"))
    );
}

#[test]
fn latency_is_counted_as_in_flight_and_follows_the_application() {
    let sandbox = start(Faults { latency_ms: 3_600_000, ..Faults::default() });
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&sandbox)).collect();
    clients[0].send(&fields(1));
    clients[1].send(&fields(1));
    clients[2].send(&fields(2));
    wait_for(&sandbox, |stats| stats.in_flight == 3);
    let stats = sandbox.stats();
    assert_eq!((stats.in_flight_max, stats.subject_in_flight_max, stats.applied), (3, 2, 3));
    drop(clients);
    wait_for(&sandbox, |stats| stats.in_flight == 0);
}

#[test]
fn faults_are_replaced_without_a_restart() {
    let sandbox = start(shares(|shares| shares.error_500_before = 1.0));
    let mut client = Client::new(&sandbox);
    assert_eq!(client.update(fields(1)).status, 500);
    let json = [("Content-Type", "application/json")];
    let faults = r#"{"outages":[{"window":{"requests":{"from":2,"count":1}},"how":{"status":502}}]}"#;
    assert_eq!(client.call("POST", "/sandbox/faults", &json, faults).status, 204);
    // Windows count from the replacement on.
    assert_eq!([1, 2, 3].map(|n| client.update(fields(n)).status), [201, 502, 201]);
    assert_eq!(client.call("GET", "/sandbox/faults", &[], "").json()["outages"][0]["how"]["status"], 502);
    for wrong in [r#"{"sharks":{}}"#, r#"{"shares":{"reset":1}}"#, r#"{"shares":{"wrong_echo":2}}"#] {
        assert_eq!(client.call("POST", "/sandbox/faults", &json, wrong).status, 422, "{wrong}");
    }
}

#[test]
fn every_member_of_the_faults_is_read_as_documented() {
    let text = r#"{
        "seed": 7, "shares": {"error_500_before": 0.1, "error_500_after": 0.1, "statuses": {"502": 0.01}},
        "outages": [{"window": {"time": {"from_ms": 1000, "for_ms": 500}}, "how": "reset"},
                    {"window": {"requests": {"from": 100, "count": 50}}, "how": "hang"}],
        "latency_ms": 5, "latency_jitter_ms": 10, "retry_after": {"date_ahead": 2},
        "rate_max": {"per_s": 200}, "token_after": {"requests": 10, "token": "b"},
        "subject_statuses": {"ext_1": 403}, "fail_first": {"attempts": 1, "status": 503},
        "refused_values": ["x"], "uniqueness": "refuse_422", "echo": "reformatted", "connection_requests_max": 100
    }"#;
    let faults: Faults = serde_json::from_str(text).unwrap();
    assert_eq!(faults.check(), Ok(()));
    assert_eq!(faults.rate_max, Some(RateMax { per_s: 200, burst: 1 }));
    assert_eq!(faults.retry_after, RetryAfter::DateAhead(2));
    assert_eq!(faults.uniqueness, Uniqueness::Refuse422);
}

#[test]
fn faults_beyond_their_bounds_are_refused() {
    type Change = fn(&mut Faults);
    let wrong: [Change; 9] = [
        |faults| faults.shares.wrong_echo = -0.1,
        |faults| faults.shares.wrong_echo = f64::NAN,
        |faults| (faults.shares.wrong_echo, faults.shares.empty_body) = (0.6, 0.6),
        |faults| faults.shares.statuses = [(199, 0.1)].into(),
        |faults| faults.fail_first = Some(FailFirst { attempts: 1, status: 600 }),
        |faults| faults.latency_ms = LATENCY_MS_MAX + 1,
        |faults| faults.retry_after = RetryAfter::Seconds(RETRY_AFTER_S_MAX + 1),
        |faults| faults.rate_max = Some(RateMax { per_s: 0, burst: 1 }),
        |faults| faults.token_after = Some(TokenAfter { requests: 1, token: String::new() }),
    ];
    for (place, change) in wrong.into_iter().enumerate() {
        let mut faults = Faults::default();
        change(&mut faults);
        let error = faults.check().expect_err(&format!("case {place}"));
        assert!(!error.remedy().is_empty());
    }
    assert_eq!(
        shares(|shares| shares.statuses = (500..510).map(|status| (status, 0.1)).collect()).check(),
        Ok(())
    );
}
