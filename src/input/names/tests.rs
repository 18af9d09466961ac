//! Names: how they are compared, which are known, and what is suggested.

use proptest::prelude::*;

use super::*;

#[test]
fn names_are_compared_without_case_accent_suffix_and_punctuation() {
    for (name, normal) in [
        ("IMEI__c", "imei"),
        (" SIM Serial-Number ", "simserialnumber"),
        ("Téléphone", "telephone"),
        ("mo\u{301}vil", "movil"),
        ("Telemóvel", "telemovel"),
        ("Phone #", "phone"),
        ("user_external_id", "userexternalid"),
        ("\u{feff}IMEI", "imei"),
        ("\u{a0}SIM\u{a0}Number\u{a0}", "simnumber"),
        ("\"Mobile Phone\"", "mobilephone"),
        ("'IMEI__c'", "imei"),
        ("\u{201c}Teléfono\u{201d}", "telefono"),
        ("ＩＭＥＩ", "imei"),
        ("Mobile__C", "mobile"),
        ("m.s.i.s.d.n.", "msisdn"),
        ("#", ""),
    ] {
        assert_eq!(normalize(name), normal, "{name}");
    }
}

#[test]
fn known_names_are_normalised_and_stand_for_one_field() {
    let all: Vec<&str> = SYNONYMS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for (at, name) in all.iter().enumerate() {
        assert_eq!(normalize(name), **name);
        assert!(!all[..at].contains(name), "{name} stands twice");
        assert_eq!(ambiguous(name), None, "{name} is both taken and only suggested");
    }
}

#[test]
fn every_wire_name_but_the_password_is_known() {
    for kind in FieldKind::ALL {
        let expected = (kind != FieldKind::Password).then_some(kind);
        assert_eq!(synonym(&normalize(kind.name())), expected);
    }
}

#[test]
fn suggestions_come_for_slips_and_ambiguous_names_only() {
    for (name, field) in [
        ("Acount ID", None),
        ("Account ID", Some(FieldKind::UserExternalId)),
        ("id", Some(FieldKind::UserExternalId)),
        ("Device Id", Some(FieldKind::GenericId)),
        ("User ID", Some(FieldKind::Username)),
        ("password", Some(FieldKind::Password)),
        ("imssi", Some(FieldKind::Imsi)),
        ("iccd", Some(FieldKind::Iccid)),
        ("usrename", Some(FieldKind::Username)),
        ("old_imsi", None),
        ("new_imei", None),
        ("status", None),
        ("isDeleted", None),
        ("city", None),
        ("imei2", None),
        ("telephone2", None),
        ("Serial Number", None),
        ("esn", None),
        ("meid", None),
    ] {
        assert_eq!(suggestion(name), field, "{name}");
    }
}

#[test]
fn reserved_names_are_exact() {
    assert!(is_reserved("_run"));
    assert!(!is_reserved("_runs"));
    assert!(!is_reserved("run"));
}

#[test]
fn a_first_line_of_data_is_not_shown() {
    assert_eq!(shown(["first name", "city"]), "`first name`, `city`");
    for value in ["+447700900123", "someone@example.com"] {
        let text = shown(["bob", value]);
        assert!(!text.contains("bob") && !text.contains(value), "{text}");
    }
}

/// Every name of field-rules 4.3, as it is written there.
#[test]
fn every_name_of_the_reference_stands_for_its_field() {
    use FieldKind::{GenericId, Iccid, Imei, Imsi, Number, UserClass, UserExternalId, Username};
    for (field, names) in [
        (
            Number,
            "number, msisdn, mobile, mobile phone, mobilephone, mobile number, phone, phone number, telephone, \
             telephone1, cell, cell phone, mdn, ctn, subscriber number, line number, service number, gsm, \
             Rufnummer, Mobilnummer, Handy, teléfono, móvil, celular, telefone, telemóvel, portable, cellulare",
        ),
        (Imei, "imei, imei number, imei no, imei1, device imei, handset imei"),
        (Imsi, "imsi, imsi number, network identifier"),
        (Iccid, "iccid, icc, sim, sim number, sim no, sim card, sim serial, sim serial number, iccid number"),
        (Username, "username, user name, login"),
        (UserExternalId, "user external id, external id, customer id, crm id, contact id, record id, row id"),
        (UserClass, "user class, class of service, cos, service class, tier, plan, segment"),
        (GenericId, "generic id, android id, idfa, advertising id"),
    ] {
        for name in names.split(", ") {
            for written in [name.to_owned(), name.to_uppercase(), name.replace(' ', "_") + "__c"] {
                assert_eq!(synonym(&normalize(&written)), Some(field), "{written}");
            }
        }
    }
}

#[test]
fn names_that_are_not_taken_without_being_told() {
    for name in [
        "serial number",
        "imei2",
        "esn",
        "meid",
        "identifier",
        "user id",
        "account id",
        "id",
        "device id",
        "password",
        "password hash",
        "old_imsi",
        "new_imsi",
        "old iccid",
        "New MSISDN",
        "status",
        "isDeleted",
        "last modified",
        "updated at",
        "effective date",
        "(Do Not Modify) Contact",
        "(Do Not Modify) Modified On",
        "",
    ] {
        assert_eq!(synonym(&normalize(name)), None, "{name}");
    }
}

#[test]
fn near_names_are_listed_nearest_first() {
    let columns = ["Telephone", "city", "Telefon", "", "E-Mail"];
    assert_eq!(near("Telefone", columns.into_iter()), ["Telefon", "Telephone"]);
    assert_eq!(near("Handset", columns.into_iter()), [""; 0]);
    assert_eq!(near("Telefone", ["Telefon", "447911123456"].into_iter()), [""; 0], "no value in an error");
}

proptest! {
    #[test]
    fn a_normalised_name_is_normal(name in ".{0,20}|[A-Za-zÀ-žΑ-ω_\u{ff00}-\u{ff5e} .'\"]{0,20}(__c)?") {
        let normal = normalize(&name);
        prop_assert_eq!(normalize(&normal), normal);
    }

    #[test]
    fn any_name_gets_a_suggestion_or_none(name in ".{0,60}") {
        let reserved = normalize(&name).starts_with("new");
        prop_assert!(!reserved || suggestion(&name).is_none());
    }
}
