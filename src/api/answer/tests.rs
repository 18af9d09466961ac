//! The verdict table of the design, section 5, row by row; the echo; `Retry-After`.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// 2024-01-15T10:30:00Z.
const NOW_S: u64 = 1_705_314_600;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_S)
}

/// A stand-in for the fields' own canonical form: no spaces.
fn canonical(kind: FieldKind, text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    (kind != FieldKind::Imsi || text.len() == 15).then_some(text)
}

fn sent() -> Fields {
    let mut fields = Fields::default();
    for (kind, value) in [
        (FieldKind::Number, "+1234567890"),
        (FieldKind::Imsi, "310260123456789"),
        (FieldKind::Iccid, "898600B500000000001F"),
        (FieldKind::Username, "john.smith"),
        (FieldKind::Password, "$2a$10$secret"),
        (FieldKind::UserClass, ""),
    ] {
        fields.set(kind, value);
    }
    fields
}

fn with(status: u16, retry_after: Option<&str>, body: &str) -> Outcome {
    let fields = sent();
    let answer = Answer { status, retry_after, body: body.as_bytes(), cut: false, is_coded: false };
    classify(
        &answer,
        &Sent { fields: &fields, unsent: None, token: Some("s3cr3t-token") },
        Verify::Echo,
        &canonical,
        now(),
    )
}

fn outcome(status: u16, body: &str) -> Outcome {
    with(status, None, body)
}

fn refused(signature: &str) -> Outcome {
    Outcome::Refused { signature: signature.to_owned() }
}

fn conflict(signature: &str) -> Outcome {
    Outcome::Conflict { signature: signature.to_owned() }
}

fn server_failed(signature: &str, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::ServerFailed { signature: signature.to_owned(), retry_after_ms }
}

fn mismatch(fields: &[FieldKind], signature: &str) -> Outcome {
    Outcome::EchoMismatch { fields: fields.iter().copied().collect(), signature: signature.to_owned() }
}

#[test]
fn every_status_has_its_row() {
    let table = [
        (100, "", server_failed("100 no explanation", None)),
        (101, "", server_failed("101 no explanation", None)),
        (200, "", Outcome::Acknowledged),
        (201, "", Outcome::Acknowledged),
        (202, "{}", Outcome::Acknowledged),
        (204, " \r\n", Outcome::Acknowledged),
        (226, r#"{"status":"success"}"#, Outcome::Acknowledged),
        (301, "", Outcome::Redirected),
        (302, "<html>", Outcome::Redirected),
        (304, "", Outcome::Redirected),
        (307, "", Outcome::Redirected),
        (308, "", Outcome::Redirected),
        (400, r#"{"detail":"bad"}"#, refused("400 bad")),
        (401, r#"{"detail":"imsi already exists"}"#, Outcome::TokenRefused),
        (402, "", refused("402 no explanation")),
        (403, "no", Outcome::Forbidden { signature: "403 no".into() }),
        (404, "<title>Not Found</title>", refused("404 Not Found")),
        (405, "", refused("405 no explanation")),
        (408, "slow", server_failed("408 slow", None)),
        (409, "{}", conflict("409 no explanation")),
        (410, "", refused("410 no explanation")),
        (413, "", refused("413 no explanation")),
        (415, "", refused("415 no explanation")),
        (418, "", refused("418 no explanation")),
        (422, r#"{"imei":["Bad check digit."]}"#, refused("422 imei: Bad check digit")),
        (425, "", server_failed("425 no explanation", None)),
        (429, "imsi already exists", Outcome::Throttled { retry_after_ms: None }),
        (431, "", refused("431 no explanation")),
        (451, "", refused("451 no explanation")),
        (499, "", refused("499 no explanation")),
        (500, "duplicate key", server_failed("500 duplicate key", None)),
        (502, "<html><title>502 Bad Gateway</title>", server_failed("502 # Bad Gateway", None)),
        (503, "", server_failed("503 no explanation", None)),
        (504, "", server_failed("504 no explanation", None)),
        (599, "", server_failed("599 no explanation", None)),
        (600, "", server_failed("600 no explanation", None)),
        (999, "", server_failed("999 no explanation", None)),
    ];
    for (status, body, expected) in table {
        assert_eq!(outcome(status, body), expected, "{status} {body}");
    }
}

#[test]
fn uniqueness_conflicts_are_recognised() {
    for text in [
        "imsi already assigned to 5",
        "IMSI is already in use",
        "device app user with this imsi already exists.",
        "The imsi has already been taken.",
        "iccid already registered",
        "number is already currently linked to another device",
        "Duplicate entry 'x' for key 'imsi'",
        "duplicate key value violates unique constraint",
        "UNIQUE constraint failed: device.imsi",
        "The fields number, imsi must make a unique set",
        "imsi must be unique",
        "imsi isn't unique",
        "imsi in use by another subscriber",
    ] {
        for status in [400, 422] {
            let body = serde_json::json!({ "imsi": [text] }).to_string();
            assert!(matches!(outcome(status, &body), Outcome::Conflict { .. }), "{status} {text}");
        }
        assert!(matches!(outcome(404, text), Outcome::Refused { .. }), "404 {text}");
    }
    let coded = r#"{"errors":[{"field":"imsi","code":"unique","message":"Another device has it"}]}"#;
    assert_eq!(outcome(422, coded), conflict("422 imsi: unique: Another device has it"));
}

#[test]
fn other_refusals_are_no_conflicts() {
    for text in [
        "imsi must have 15 digits",
        "generic_id: Generic unique identifier is missing",
        "the device is already up to date, nothing to do; values that exist were ignored",
        "",
    ] {
        assert!(matches!(outcome(422, text), Outcome::Refused { .. }), "{text}");
    }
    // A row's own value is no wording: this user is called "duplicate".
    let mut fields = sent();
    fields.set(FieldKind::Username, "duplicate");
    let answer = Answer {
        status: 422,
        retry_after: None,
        body: b"user duplicate is unknown",
        cut: false,
        is_coded: false,
    };
    let seen = classify(
        &answer,
        &Sent { fields: &fields, unsent: None, token: None },
        Verify::Echo,
        &canonical,
        now(),
    );
    assert_eq!(seen, refused("422 user # is unknown"));
}

#[test]
fn an_acknowledgement_needs_success_and_an_agreeing_echo() {
    let acknowledged = [
        // The vendor's own example, fields that were not sent included.
        r#"{"number":"+1234567890","imei":"1","imsi":"310260123456789","updated_at":"x","status":"success"}"#,
        r#"{"status":"SUCCESS"}"#,
        r#"{"status":null}"#,
        // Spellings: without plus, without filler, other case, grouped, as a number, escaped.
        r#"{"number":"1234567890","iccid":"898600b500000000001"}"#,
        r#"{"imsi":"310260 123456789","number":1234567890}"#,
        r#"{"imsi":310260123456789}"#,
        r#"{"number":"+12345\u00367890","use\u0072name":"john.smith"}"#,
        // A server may mask or rehash the password.
        r#"{"password":"***"}"#,
        r#"{"password":null}"#,
        // A cleared field.
        r#"{"user_class":null}"#,
        r#"{"user_class":""}"#,
        r#"{"data":{"imsi":"310260123456789"},"status":"success"}"#,
        r#"{"data":"{\"imsi\":\"310260123456789\"}"}"#,
        r#"{"data":"accepted"}"#,
        r#"{"data":[1,2]}"#,
        "\u{feff}{}",
    ];
    for body in acknowledged {
        assert_eq!(outcome(201, body), Outcome::Acknowledged, "{body}");
    }
}

#[test]
fn a_cleared_field_agrees_with_nothing_but_nothing() {
    let mut fields = Fields::default();
    for kind in FieldKind::ALL {
        fields.set(kind, "");
    }
    for kind in FieldKind::ALL.into_iter().filter(|kind| *kind != FieldKind::Password) {
        for (value, agrees) in [
            ("\"\"", true),
            ("\" \"", true),
            ("null", true),
            ("\"1\"", false),
            ("\"+\"", false),
            ("\"F\"", false),
            ("0", false),
            ("false", false),
            ("[]", false),
        ] {
            let body = format!("{{\"{kind}\":{value}}}");
            let answer =
                Answer { status: 201, retry_after: None, body: body.as_bytes(), cut: false, is_coded: false };
            let seen = classify(
                &answer,
                &Sent { fields: &fields, unsent: None, token: None },
                Verify::Echo,
                &canonical,
                now(),
            );
            assert_eq!(seen == Outcome::Acknowledged, agrees, "{body}");
        }
        let answer = Answer { status: 201, retry_after: None, body: b"{}", cut: false, is_coded: false };
        let seen = classify(
            &answer,
            &Sent { fields: &fields, unsent: None, token: None },
            Verify::Echo,
            &canonical,
            now(),
        );
        assert_eq!(seen, Outcome::Acknowledged, "absent");
    }
}

#[test]
fn a_success_that_says_otherwise_is_a_mismatch() {
    use FieldKind::{Iccid, Imsi, Number, Username};
    let table: [(&str, &[FieldKind], &str); 21] = [
        (r#"{"status":"error"}"#, &[], "201 status is not success"),
        (
            r#"{"status":"error","message":"imsi 310260123456789 unknown"}"#,
            &[],
            "201 status is not success: imsi # unknown",
        ),
        (r#"{"status":"ok"}"#, &[], "201 status is not success: status: ok"),
        (r#"{"status":201}"#, &[], "201 status is not success: status: #"),
        (r#"{"status":"success","data":{"status":"failed"}}"#, &[], ""),
        (r#"{"imsi":"310260123456780"}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"imsi":null}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"imsi":""}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"imsi":["310260123456789"]}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"user_class":"basic"}"#, &[FieldKind::UserClass], "201 echo differs in user_class"),
        (r#"{"imsi":true}"#, &[Imsi], "201 echo differs in imsi"),
        (
            r#"{"number":"+1234567891","iccid":"898600B500000000002F"}"#,
            &[Number, Iccid],
            "201 echo differs in number, iccid",
        ),
        (r#"{"username":"JOHN.SMITH"}"#, &[Username], "201 echo differs in username"),
        (r#"{"number":1.23456789e9}"#, &[Number], "201 echo differs in number"),
        // Repeated names have to agree each time.
        (r#"{"imsi":"1","imsi":"310260123456789"}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"imsi":"310260123456789","data":{"imsi":"1"}}"#, &[Imsi], "201 echo differs in imsi"),
        (r#"{"data":"{\"imsi\":\"1\"}"}"#, &[Imsi], "201 echo differs in imsi"),
        ("Log in", &[], "201 answer is not JSON"),
        (r#"{"status":"success""#, &[], "201 answer is not JSON"),
        ("[]", &[], "201 answer is no JSON object"),
        ("\"success\"", &[], "201 answer is no JSON object"),
    ];
    for (body, fields, signature) in table {
        match (outcome(201, body), signature) {
            (Outcome::EchoMismatch { fields, .. }, "") => assert!(fields.is_empty(), "{body}"),
            (seen, _) if body == r#"{"status":"error"}"# => {
                assert_eq!(seen, mismatch(fields, &format!("{signature}: status: error")), "{body}");
            }
            (seen, _) => assert_eq!(seen, mismatch(fields, signature), "{body}"),
        }
    }
}

#[test]
fn an_acknowledgement_too_long_to_be_checked_is_none() {
    let fields = sent();
    let sent = Sent { fields: &fields, unsent: None, token: None };
    let answer = Answer { status: 201, retry_after: None, body: b"{}", cut: true, is_coded: false };
    let seen = classify(&answer, &sent, Verify::Echo, &canonical, now());
    assert_eq!(seen, mismatch(&[], "201 answer is too long to be checked"));
}

#[test]
fn bytes_that_are_no_text_are_no_acknowledgement() {
    let fields = sent();
    let sent = Sent { fields: &fields, unsent: None, token: None };
    let answer =
        Answer { status: 201, retry_after: None, body: b"\x1f\x8b\x08\x00", cut: false, is_coded: false };
    assert_eq!(
        classify(&answer, &sent, Verify::Echo, &canonical, now()),
        mismatch(&[], "201 answer is not JSON")
    );
}

#[test]
fn no_outcome_shows_a_value_or_the_token() {
    let body = r#"{"detail":"+1234567890 310260123456789 $2a$10$SECRET john.smith S3CR3T-token 898600B500000000001F"}"#;
    for status in (100..=599).chain([999]) {
        let seen = format!("{:?}", outcome(status, body)).to_ascii_lowercase();
        for value in ["234567", "310260", "secret", "smith", "s3cr3t", "898600"] {
            assert!(!seen.contains(value), "{status}: {seen}");
        }
    }
}

#[test]
fn retry_after_is_read_as_the_standard_has_it() {
    let table = [
        ("0", Some(0)),
        ("1", Some(1_000)),
        (" 120 ", Some(120_000)),
        ("-5", Some(0)),
        ("-0", Some(0)),
        ("99999999999", Some(99_999_999_999_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("340282366920938463463374607431768211456", Some(u64::MAX)),
        ("Mon, 15 Jan 2024 10:30:10 GMT", Some(10_000)),
        ("Monday, 15-Jan-24 10:30:10 GMT", Some(10_000)),
        ("Mon Jan 15 10:30:10 2024", Some(10_000)),
        ("Mon, 15 Jan 2024 10:29:00 GMT", Some(0)),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("1s", None),
        ("-", None),
        ("Mon, 32 Jan 2024 10:30:10 GMT", None),
    ];
    for (header, expected) in table {
        assert_eq!(
            with(429, Some(header), ""),
            Outcome::Throttled { retry_after_ms: expected },
            "{header:?}"
        );
        for status in [408, 425, 500, 503] {
            let text = format!("{status} no explanation");
            assert_eq!(with(status, Some(header), ""), server_failed(&text, expected), "{status} {header:?}");
        }
    }
}

#[test]
fn what_is_verified_is_the_operators_choice() {
    let fields = sent();
    let seen = |verify: Verify, answer: &Answer<'_>| {
        classify(answer, &Sent { fields: &fields, unsent: None, token: None }, verify, &canonical, now())
    };
    let with = |body: &'static str| Answer {
        status: 201,
        retry_after: None,
        body: body.as_bytes(),
        cut: false,
        is_coded: false,
    };
    let other = with(r#"{"status":"success","imsi":"310260999999999"}"#);
    assert_eq!(seen(Verify::Echo, &other), mismatch(&[FieldKind::Imsi], "201 echo differs in imsi"));
    assert_eq!(seen(Verify::Status, &other), Outcome::Acknowledged);
    // A status of its own is worth more than an echo that agrees.
    let queued = with(r#"{"status":"queued","imsi":"310260123456789"}"#);
    assert!(matches!(seen(Verify::Status, &queued), Outcome::EchoMismatch { .. }));
    let text = with("OK");
    assert_eq!(seen(Verify::Status, &text), mismatch(&[], "201 answer is not JSON"));
    for answer in [other, queued, text, Answer { cut: true, ..text }, Answer { is_coded: true, ..text }] {
        assert_eq!(seen(Verify::None, &answer), Outcome::Acknowledged);
        for status in [199, 300, 302, 400, 401, 403, 409, 422, 429, 500] {
            assert_ne!(seen(Verify::None, &Answer { status, ..answer }), Outcome::Acknowledged, "{status}");
        }
    }
}

#[test]
fn a_coding_that_was_not_asked_for_is_not_read() {
    let fields = sent();
    let sent = Sent { fields: &fields, unsent: None, token: None };
    // Were it read, it would agree, and it would be a conflict.
    let body = br#"{"status":"success","detail":"already exists"}"#;
    let answer = Answer { status: 201, retry_after: None, body, cut: false, is_coded: true };
    for verify in [Verify::Echo, Verify::Status] {
        let seen = classify(&answer, &sent, verify, &canonical, now());
        assert_eq!(seen, mismatch(&[], "201 answer is compressed, which was not asked for"));
    }
    let refused_so = Answer { status: 422, ..answer };
    let seen = classify(&refused_so, &sent, Verify::Echo, &canonical, now());
    assert_eq!(seen, refused("422 answer is compressed, which was not asked for"));
}

#[test]
fn a_407_is_a_proxys_and_tried_again() {
    assert_eq!(outcome(407, ""), server_failed("407 no explanation", None));
}

#[test]
fn a_page_of_html_that_says_success_is_nobodys_answer() {
    for body in ["<html><title>Log in</title></html>", "\u{feff} <!DOCTYPE html>"] {
        assert_eq!(outcome(200, body), Outcome::Page { signature: format!("200 {PAGE}") }, "{body}");
    }
}
