//! The vectors of field-rules 7, and the rows of its section 1 that have none there: each a test of its own name.

use super::*;

/// Declares a test for every vector: what is sent (`None`: nothing), and the codes of the findings.
macro_rules! vectors {
    ($kind:ident under $options:expr; $($name:ident: $value:expr => $sent:expr, $codes:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let sent: Option<&str> = $sent;
                let codes: &[&str] = &$codes;
                let want = (sent.map(str::to_owned), codes.to_vec());
                assert_eq!(verdict_under(&$options, $kind, $value), want, "{} {:?}", $kind, $value);
            }
        )+
    };
}

fn in_gb() -> RuleOptions {
    RuleOptions { default_country: Some("GB".to_owned()), ..RuleOptions::default() }
}

mod imei {
    use super::*;

    vectors! { Imei under RuleOptions::default();
        sound_490154203237518: "490154203237518" => Some("490154203237518"), [];
        sound_356868000041418: "356868000041418" => Some("356868000041418"), [];
        with_hyphens: "35-686800-004141-8" => Some("356868000041418"), ["imei.format"];
        of_the_vendors_page: "123456789012345" => Some("123456789012345"), ["imei.luhn", "imei.suspect"];
        of_the_vendors_page_with_its_check_digit: "123456789012347" => Some("123456789012347"), ["imei.suspect"];
        ascending_digits: "012345678901234" => Some("012345678901234"), ["imei.luhn", "imei.suspect"];
        fourteen_digits: "49015420323751" => None, ["imei.14", "imei.lost_zero"];
        imeisv: "4901542032375101" => None, ["imei.sv"];
        with_software_version: "35-686800-004141-8 / 01" => Some("356868000041418"), ["imei.format"];
        all_zeros_pass_luhn: "000000000000000" => None, ["placeholder"];
        test_reporting_body: "004999010640000" => Some("004999010640000"), ["imei.test", "imei.suspect"];
        reporting_body_01_is_no_test: "010000000000007" => Some("010000000000007"), ["imei.luhn"];
        scientific: "1.23457E+14" => None, ["excel.scientific"];
        scientific_with_all_digits: "3.56868000041418E+14" => Some("356868000041418"), ["excel.scientific_whole"];
        scientific_with_a_comma: "3,56868000041418E+14" => Some("356868000041418"), ["excel.scientific_whole"];
        data_frame_decimal: "356868000041418.0" => Some("356868000041418"), ["excel.decimal"];
        thousands: "356,868,000,041,418" => None, ["excel.thousands"];
        negative: "-123456789012345" => None, ["excel.negative"];
        spare_digit_of_the_network: "356868000041410" => Some("356868000041410"), ["imei.luhn", "imei.spare0"];
        meid: "A0000012345678" => None, ["imei.meid"];
        iccid_in_the_column: "89014103211118510720" => None, ["imei.length", "x.shift.iccid"];
        two_in_a_cell: "356868000041418;490154203237518" => None, ["imei.chars"];
        two_on_two_lines: "356868000041418\n490154203237518" => None, ["imei.chars"];
        text_marker: "=\"356868000041418\"" => Some("356868000041418"), ["excel.text_marker"];
        apostrophe: "'356868000041418" => Some("356868000041418"), ["excel.text_marker"];
        full_width_digits: "３５６８６８０００041418" => Some("356868000041418"), ["text.digits"];
        error_value: "#REF!" => None, ["excel.error_value"];
        hashes: "########" => None, ["excel.error_value"];
        not_available: "#N/A" => None, [];
        zero: "0" => None, [];
    }

    vectors! { Imei under RuleOptions { imei_14: Imei14::Complete, ..RuleOptions::default() };
        annex_b_of_ts_23_003: "26053179311383" => Some("260531793113837"), ["imei.completed"];
    }

    vectors! { Imei under RuleOptions { imei_14: Imei14::ZeroPad, ..RuleOptions::default() };
        zero_in_front: "12415001234562" => Some("012415001234562"), ["imei.zero_padded"];
    }

    vectors! { Imei under RuleOptions { imei_16: Imei16::Convert, ..RuleOptions::default() };
        imeisv_converted: "4901542032375101" => Some("490154203237518"), ["imei.converted"];
    }

    vectors! { Imei under RuleOptions { imei_spare0: Spare0::Recompute, ..RuleOptions::default() };
        spare_digit_recomputed: "356868000041410" => Some("356868000041418"), ["imei.recomputed"];
    }
}

mod imsi {
    use super::*;

    vectors! { Imsi under RuleOptions::default();
        of_t_mobile: "310260123456789" => Some("310260123456789"), [];
        of_no_country: "901011234567890" => Some("901011234567890"), [];
        of_china: "460001234567890" => Some("460001234567890"), [];
        mcc_315_of_the_united_states: "315010123456789" => Some("315010123456789"), [];
        test_network: "001010123456789" => Some("001010123456789"), ["imsi.test"];
        private_network: "999999999999999" => Some("999999999999999"), ["imsi.test"];
        mcc_000: "000001234567890" => None, ["imsi.mcc_invalid"];
        mcc_1: "110010123456789" => None, ["imsi.mcc_invalid"];
        mcc_8: "810010123456789" => None, ["imsi.mcc_invalid"];
        mcc_unknown: "299010123456789" => Some("299010123456789"), ["imsi.mcc_unknown"];
        fourteen_digits: "31026012345678" => Some("31026012345678"), ["imsi.14"];
        lost_zeros_of_the_test_network: "01010123456789" =>
            Some("01010123456789"), ["imsi.14", "imsi.lost_zero", "imsi.mcc_unknown"];
        thirteen_digits: "3102601234567" => None, ["imsi.length"];
        sixteen_digits: "3102601234567890" => None, ["imsi.length"];
        looks_like_an_imei: "353010000000002" => Some("353010000000002"), ["imsi.mcc_unknown", "imsi.like_imei"];
        scientific: "3.1026E+14" => None, ["excel.scientific"];
        scientific_with_all_digits: "3.10260123456789E+14" => Some("310260123456789"), ["excel.scientific_whole"];
        data_frame_decimal: "310260123456789.0" => Some("310260123456789"), ["excel.decimal"];
    }
}

mod iccid {
    use super::*;

    vectors! { Iccid under RuleOptions::default();
        of_the_vendors_response: "89014103211118510720" => Some("89014103211118510720"), [];
        with_filler: "8944476500008878576F" => Some("8944476500008878576"), ["iccid.format"];
        twenty_digits: "89450421180216254864" => Some("89450421180216254864"), [];
        of_the_vendors_request: "8901410321118510720" => Some("8901410321118510720"), ["iccid.luhn"];
        without_check_digit: "8988303000000614227" => Some("8988303000000614227"), ["iccid.luhn"];
        of_china_mobile: "898600B5000000000001" => Some("898600B5000000000001"), ["iccid.hex"];
        typed_into_a_spreadsheet: "89014103211118500000" => None, ["iccid.excel_truncated"];
        shortest_form_of_javascript: "89014103211118510000" => None, ["iccid.zeros_luhn"];
        full_form_of_python: "89014103211118510080" => None, ["iccid.float_luhn"];
        full_form_of_python_19: "8901410321111851008" => None, ["iccid.float_luhn"];
        rounded_and_luhn_passes_by_luck: "8901410321118511000" => Some("8901410321118511000"), ["iccid.zeros"];
        eid: "89049032000000000000000000000066" => None, ["iccid.eid"];
        eid_with_wrong_check_digits: "89049032000000000000000000000067" => None, ["iccid.eid_check"];
        scientific: "8,90141E+19" => None, ["excel.scientific"];
        data_frame_decimal: "89014103211118510720.0" => None, ["excel.decimal_lost"];
        signed_overflow: "-9432640862591040896" => None, ["excel.negative"];
        seventeen_digits: "89444765000088785" => Some("89444765000088785"), ["iccid.length_unusual", "iccid.luhn"];
        not_89: "1244476500008878578" => Some("1244476500008878578"), ["iccid.prefix"];
        one_digit_more: "89444765000088785761" => Some("89444765000088785761"), [];
    }

    vectors! { Iccid under RuleOptions { preset: Preset::Strict, ..RuleOptions::default() };
        not_89_is_an_error_when_strict: "1244476500008878578" => None, ["iccid.prefix"];
    }
}

mod number {
    use super::*;

    vectors! { Number under RuleOptions::default();
        nanp: "+1 (202) 555-0143" => Some("+12025550143"), ["number.format"];
        tel_uri: "tel:+1-202-555-0143" => Some("+12025550143"), ["number.format"];
        prefix_00: "0044 20 7946 0018" => Some("+442079460018"), ["number.format", "number.prefix"];
        zero_in_parentheses: "+44 (0)7911 123456" => Some("+447911123456"), ["number.format"];
        prefix_00_and_zero_in_parentheses: "00 44 (0) 7911 123456" =>
            Some("+447911123456"), ["number.format", "number.prefix"];
        national_without_country: "07911 123456" => None, ["number.format", "number.no_country"];
        of_the_vendors_page: "+1234567890" => Some("+1234567890"), ["number.length"];
        machine_to_machine: "+47580012345678" => Some("+47580012345678"), ["number.length"];
        letter_o: "+447911123456O" => None, ["number.chars"];
        letter_l: "+4479111234l56" => None, ["number.chars"];
        remark: "+44 7911 123456 (mobile)" => None, ["number.chars"];
        two_numbers: "07911123456;07911123457" => None, ["number.several"];
        extension: "+1 202 555 0143 x12" => None, ["number.extension"];
        zero_of_ivory_coast: "+2250102030405" => Some("+2250102030405"), [];
        zero_of_italy: "+390612345678" => Some("+390612345678"), [];
        no_such_country: "+999123456789" => None, ["number.country_code"];
        scientific: "5.0255E+10" => None, ["excel.scientific"];
        bare: "447911123456" => None, ["number.bare"];
        data_frame_decimal: "447911123456.0" => None, ["excel.decimal", "number.bare"];
        guarded_plus: "'+447911123456" => Some("+447911123456"), ["excel.text_marker"];
        all_zeros: "0000000000" => None, ["placeholder"];
        shortest_in_use: "+6834000" => Some("+6834000"), [];
        six_digits: "+683400" => None, ["number.too_short"];
        sixteen_digits: "+1234567890123456" => None, ["number.too_long"];
        leading_zero: "+0447911123456" => None, ["number.country_code"];
        star_code: "*21*447911123456#" => None, ["number.chars"];
    }

    vectors! { Number under in_gb();
        national_of_gb: "07911 123456" => Some("+447911123456"), ["number.format", "number.national"];
    }

    vectors! { Number under RuleOptions { bare_numbers: BareNumbers::E164, ..RuleOptions::default() };
        bare_once_said: "447911123456" => Some("+447911123456"), ["number.assumed"];
    }
}

mod password {
    use super::*;

    vectors! { Password under RuleOptions::default();
        of_the_vendors_page: "$2a$10$N9qo8uL0ickgx2ZMRZoMye" => None, ["password.truncated"];
        bcrypt: "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy" =>
            Some("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"), [];
    }

    vectors! { Password under RuleOptions { preset: Preset::Lenient, ..RuleOptions::default() };
        of_the_vendors_page_when_lenient: "$2a$10$N9qo8uL0ickgx2ZMRZoMye" =>
            Some("$2a$10$N9qo8uL0ickgx2ZMRZoMye"), ["password.truncated"];
    }
}
