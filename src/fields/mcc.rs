//! Mobile country codes (ITU-T E.212) and the regions they belong to (ISO 3166-1 alpha-2).
//!
//! The table is our own, from the list annexed to the ITU Operational Bulletin. It ages, so an unknown code is a
//! warning and never more. Not here: mobile network codes, whose length an IMSI does not tell.

/// What a mobile country code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mcc {
    /// Not in the table.
    Unknown,
    /// 001 and 999: test and private networks.
    Test,
    /// 901 and its kind: networks of no country.
    Global,
    /// Codes of these regions.
    Regions(&'static [&'static str]),
}

/// The mobile country code an IMSI begins with. `imsi` has ASCII digits only.
pub(super) fn of_imsi(imsi: &str) -> Mcc {
    let Some(code) = code_of(imsi) else { return Mcc::Unknown };
    match code {
        1 | 999 => Mcc::Test,
        901 | 902 | 991 | 995 => Mcc::Global,
        code => match PLACES.get(code).copied().and_then(|place| usize::from(place).checked_sub(1)) {
            Some(index) => Mcc::Regions(MCCS[index].1),
            None => Mcc::Unknown,
        },
    }
}

/// The number that the first three digits are. The value has ASCII digits only.
pub(super) fn code_of(imsi: &str) -> Option<usize> {
    let digits = imsi.as_bytes().first_chunk::<3>()?;
    Some(digits.iter().fold(0, |code, digit| code * 10 + usize::from(digit.wrapping_sub(b'0'))))
}

/// For each code its place in [`MCCS`], counted from 1; 0 where it has none. Millions of rows are worth a kilobyte.
static PLACES: [u8; 1000] = places();

const fn places() -> [u8; 1000] {
    assert!(MCCS.len() < 255, "a place is a byte");
    let mut places = [0; 1000];
    let mut place = 0_u8;
    while (place as usize) < MCCS.len() {
        places[MCCS[place as usize].0 as usize] = place + 1;
        place += 1;
    }
    places
}

/// Mobile country codes in order, with the regions that use them.
#[rustfmt::skip]
const MCCS: &[(u16, &[&str])] = &[
    // Europe
    (202, &["GR"]), (204, &["NL"]), (206, &["BE"]), (208, &["FR"]), (212, &["MC"]), (213, &["AD"]),
    (214, &["ES"]), (216, &["HU"]), (218, &["BA"]), (219, &["HR"]), (220, &["RS"]), (221, &["XK"]),
    (222, &["IT"]), (225, &["VA"]), (226, &["RO"]), (228, &["CH"]), (230, &["CZ"]), (231, &["SK"]),
    (232, &["AT"]), (234, &["GB", "GG", "JE", "IM"]), (235, &["GB"]), (238, &["DK"]), (240, &["SE"]),
    (242, &["NO", "SJ"]), (244, &["FI", "AX"]), (246, &["LT"]), (247, &["LV"]), (248, &["EE"]), (250, &["RU"]),
    (255, &["UA", "MD"]), (257, &["BY"]), (259, &["MD"]), (260, &["PL"]), (262, &["DE"]), (266, &["GI"]),
    (268, &["PT"]), (270, &["LU"]), (272, &["IE"]), (274, &["IS"]), (276, &["AL"]), (278, &["MT"]),
    (280, &["CY"]), (282, &["GE"]), (283, &["AM"]), (284, &["BG"]), (286, &["TR"]), (288, &["FO"]),
    (289, &["GE", "RU"]), (290, &["GL"]), (292, &["SM", "IT"]), (293, &["SI"]), (294, &["MK"]), (295, &["LI"]),
    (297, &["ME"]),
    // North America and the Caribbean
    (302, &["CA"]), (308, &["PM"]), (310, &["US"]), (311, &["US"]), (312, &["US"]), (313, &["US"]),
    (314, &["US"]), (315, &["US"]), (316, &["US"]), (330, &["PR"]), (332, &["VI"]), (334, &["MX"]),
    (338, &["JM"]), (340, &["GP", "MQ", "GF", "BL", "MF"]), (342, &["BB"]), (344, &["AG"]), (346, &["KY"]),
    (348, &["VG"]), (350, &["BM"]), (352, &["GD"]), (354, &["MS"]), (356, &["KN"]), (358, &["LC"]),
    (360, &["VC"]), (362, &["CW", "BQ", "SX"]), (363, &["AW"]), (364, &["BS"]), (365, &["AI"]), (366, &["DM"]),
    (368, &["CU"]), (370, &["DO"]), (372, &["HT"]), (374, &["TT"]), (376, &["TC"]),
    // Asia
    (400, &["AZ"]), (401, &["KZ"]), (402, &["BT"]), (404, &["IN"]), (405, &["IN"]), (406, &["IN"]),
    (410, &["PK"]), (412, &["AF"]), (413, &["LK"]), (414, &["MM"]), (415, &["LB"]), (416, &["JO"]),
    (417, &["SY"]), (418, &["IQ"]), (419, &["KW"]), (420, &["SA"]), (421, &["YE"]), (422, &["OM"]),
    (424, &["AE"]), (425, &["IL", "PS"]), (426, &["BH"]), (427, &["QA"]), (428, &["MN"]), (429, &["NP"]),
    (430, &["AE"]), (431, &["AE"]), (432, &["IR"]), (434, &["UZ"]), (436, &["TJ"]), (437, &["KG"]),
    (438, &["TM"]), (440, &["JP"]), (441, &["JP"]), (450, &["KR"]), (452, &["VN"]), (454, &["HK"]),
    (455, &["MO"]), (456, &["KH"]), (457, &["LA"]), (460, &["CN"]), (461, &["CN"]), (466, &["TW"]),
    (467, &["KP"]), (470, &["BD"]), (472, &["MV"]),
    // Oceania and South-East Asia
    (502, &["MY"]), (505, &["AU", "CX", "CC", "NF"]), (510, &["ID"]), (514, &["TL"]), (515, &["PH"]),
    (520, &["TH"]), (525, &["SG"]), (528, &["BN"]), (530, &["NZ"]), (534, &["MP"]), (535, &["GU"]),
    (536, &["NR"]), (537, &["PG"]), (539, &["TO"]), (540, &["SB"]), (541, &["VU"]), (542, &["FJ"]),
    (543, &["WF"]), (544, &["AS"]), (545, &["KI"]), (546, &["NC"]), (547, &["PF"]), (548, &["CK"]),
    (549, &["WS"]), (550, &["FM"]), (551, &["MH"]), (552, &["PW"]), (553, &["TV"]), (554, &["TK"]),
    (555, &["NU"]),
    // Africa
    (602, &["EG"]), (603, &["DZ"]), (604, &["MA", "EH"]), (605, &["TN"]), (606, &["LY"]), (607, &["GM"]),
    (608, &["SN"]), (609, &["MR"]), (610, &["ML"]), (611, &["GN"]), (612, &["CI"]), (613, &["BF"]),
    (614, &["NE"]), (615, &["TG"]), (616, &["BJ"]), (617, &["MU"]), (618, &["LR"]), (619, &["SL"]),
    (620, &["GH"]), (621, &["NG"]), (622, &["TD"]), (623, &["CF"]), (624, &["CM"]), (625, &["CV"]),
    (626, &["ST"]), (627, &["GQ"]), (628, &["GA"]), (629, &["CG"]), (630, &["CD"]), (631, &["AO"]),
    (632, &["GW"]), (633, &["SC"]), (634, &["SD"]), (635, &["RW"]), (636, &["ET"]), (637, &["SO"]),
    (638, &["DJ"]), (639, &["KE"]), (640, &["TZ"]), (641, &["UG"]), (642, &["BI"]), (643, &["MZ"]),
    (645, &["ZM"]), (646, &["MG"]), (647, &["RE", "YT"]), (648, &["ZW"]), (649, &["NA"]), (650, &["MW"]),
    (651, &["LS"]), (652, &["BW"]), (653, &["SZ"]), (654, &["KM"]), (655, &["ZA"]), (657, &["ER"]),
    (658, &["SH", "AC", "TA"]), (659, &["SS"]),
    // Central and South America
    (702, &["BZ"]), (704, &["GT"]), (706, &["SV"]), (708, &["HN"]), (710, &["NI"]), (712, &["CR"]),
    (714, &["PA"]), (716, &["PE"]), (722, &["AR"]), (724, &["BR"]), (730, &["CL"]), (732, &["CO"]),
    (734, &["VE"]), (736, &["BO"]), (738, &["GY"]), (740, &["EC"]), (742, &["GF"]), (744, &["PY"]),
    (746, &["SR"]), (748, &["UY"]), (750, &["FK"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::number;

    #[test]
    fn the_table_is_sorted_and_its_regions_have_calling_codes() {
        assert!(MCCS.is_sorted_by(|left, right| left.0 < right.0));
        for (code, regions) in MCCS {
            assert!((200..=799).contains(code), "{code}: the first digit is a world region, 2 to 7");
            for region in *regions {
                assert!(number::calling_code_of_region(region).is_some(), "{code} {region}");
            }
        }
    }

    #[test]
    fn codes_of_countries_of_none_and_of_nobody() {
        assert_eq!(of_imsi("310260123456789"), Mcc::Regions(&["US"]));
        assert_eq!(of_imsi("001010123456789"), Mcc::Test);
        assert_eq!(of_imsi("999999999999999"), Mcc::Test);
        assert_eq!(of_imsi("901011234567890"), Mcc::Global);
        assert_eq!(of_imsi("299001234567890"), Mcc::Unknown);
        assert_eq!(of_imsi("12"), Mcc::Unknown);
    }
}
