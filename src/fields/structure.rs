//! Rules of whole rows: what other rooms find wrong before or beside the fields, so that every code of the
//! product has one place where it is explained.
//!
//! Not here: the checks; the input, the survey and the plan make them and name these codes.

use super::rules::{FIX, Rule, WARN, WARN_BUT_LENIENT, rule, structural};

const CSV: &str = "RFC 4180; field-rules 4.2";
const JSON: &str = "RFC 8259; field-rules 4.4";

pub(super) const RULES: &[Rule] = &[
    structural(
        "key.missing",
        "the key field is absent or rejected, so nobody knows whom the row is about",
        "design 2: the key; field-rules 6.1",
        "fill in the key field, or choose another one with --key",
    ),
    structural(
        "csv.ragged_short",
        "the row has fewer fields than the header, so its columns may have shifted",
        CSV,
        "look for an unquoted delimiter or a line break in the row; export again",
    ),
    structural(
        "csv.ragged_long",
        "the row has more fields than the header, so its columns may have shifted",
        CSV,
        "look for an unquoted delimiter in the row; export again with quoting",
    ),
    structural(
        "csv.broken_row",
        "a neighboring line has one cell, which may be a part of this row's first or last one",
        CSV,
        "join the lines again, or take the other line out; a line break within a cell needs quotes around the cell",
    ),
    structural(
        "csv.newline_in_identifier",
        "a line break inside an identifier; a quote may be unbalanced",
        CSV,
        "balance the quotes on the line where the record begins",
    ),
    structural(
        "csv.nul",
        "the row contains NUL bytes",
        CSV,
        "take the NULs out and write the row as it should be, or export again; if every other byte is one, the file is \
         UTF-16: --encoding utf-16le",
    ),
    structural(
        "csv.unbalanced_quote",
        "a quote is opened and not closed",
        CSV,
        "balance the quotes on the line where the record begins",
    ),
    structural(
        "csv.stray_quote",
        "a quote where none belongs: after a closing quote, within an identifier, or of another kind",
        CSV,
        "write the cell in quotes and double each quote within it; take typographic quotes out",
    ),
    structural(
        "csv.header_row",
        "a header unlike the one of the file, or a row below it: another table begins there",
        CSV,
        "split the file where the other header stands",
    ),
    structural(
        "csv.truncated_row",
        "the last row has too few fields and no line end, so the file may be cut off",
        CSV,
        "export or download the file again",
    ),
    structural(
        "row.too_long",
        "the record is longer than the bound for records",
        "design 3, promise 10: memory is bounded",
        "look for an unbalanced quote or a missing line break",
    ),
    structural(
        "field.too_long",
        "a cell is longer than the bound for cells",
        "design 3, promise 10: memory is bounded",
        "look for an unbalanced quote, or map another column",
    ),
    structural(
        "row.columns_max",
        "the record has more columns than the bound for columns",
        "design 3, promise 10: memory is bounded",
        "export only the columns that are needed",
    ),
    structural(
        "json.syntax",
        "the line is no valid JSON",
        JSON,
        "correct the line: jq -c . FILE names its line and column, and _detail in rejected.csv the byte",
    ),
    structural(
        "json.not_object",
        "the line is JSON, but no object",
        JSON,
        "write one object per line, for example with jq -c '.[]'",
    ),
    structural(
        "json.nested",
        "a field holds an object, an array or a boolean instead of text",
        JSON,
        "write the field as a string, or name the value in it: --map number=/contact/phone",
    ),
    structural(
        "json.too_deep",
        "the object is nested deeper than the bound for nesting",
        "RFC 8259 clause 9: an implementation may set limits; design 3, promise 10",
        "write flat rows, or raise input.json_depth_max",
    ),
    structural(
        "json.unsafe_integer",
        "an integer above 2^53-1, which its writer may have rounded already",
        "RFC 7493 clause 2.2; RFC 8259 clause 6",
        "write identifiers as strings; unsafe_integers = \"accept\" takes the digits as they stand",
    ),
    structural(
        "json.duplicate_member",
        "the object has the same member twice",
        "RFC 7493 clause 2.3; field-rules 4.4",
        "write every member once",
    ),
    structural(
        "json.ambiguous",
        "two members could be the same field",
        "design 2; field-rules 4.4",
        "name the member with --map FIELD=COLUMN",
    ),
    rule(
        "json.number",
        FIX,
        "an identifier written as a number was read as its digits",
        "RFC 8259 clause 6; field-rules 4.4",
        "write identifiers as strings, since a number loses leading zeros",
    ),
    structural(
        "origin.invalid",
        "the columns _run and _row do not name a row of a run",
        "design 6: rows fed back from our own files",
        "leave these columns as the report wrote them, or remove both",
    ),
    structural(
        "origin.unknown_run",
        "the column _run names a run that this state directory does not know for this target",
        "design 2: stale rows",
        "use the state directory and the target of that run, or remove the columns _run and _row",
    ),
    structural(
        "where.incomparable",
        "a condition with < or > cannot be decided: the cell is neither a number nor a date of one reading",
        "design 2: filtered; promise 7",
        "write the column as numbers or as dates such as 2026-01-31, or add a condition that leaves the row out",
    ),
    structural(
        "order.invalid",
        "the cell of the column of --order-by is neither a number nor a date",
        "ISO 8601; design 2: rows for the same subject",
        "write numbers, or dates such as 2026-01-31 or 2026-01-31T12:00:00Z; an empty cell is the oldest",
    ),
    structural(
        "order.ambiguous",
        "day, month and year cannot be told apart in the cell of the column of --order-by",
        "ISO 8601; design 2: rows for the same subject",
        "export the column as YYYY-MM-DD or DD.MM.YYYY",
    ),
    structural(
        "order.mixed",
        "the column of --order-by holds dates and numbers, which have no order among each other",
        "design 2: rows for the same subject",
        "export the column in one form",
    ),
    structural(
        "clear.not_allowed",
        "the cell asks to clear a field that may not be cleared",
        "design 3, promise 8",
        "name the field in rules.clearable; the key and the password are never cleared",
    ),
    structural(
        "clear.near_miss",
        "the cell reads like the token that clears a field, and is not written as that",
        "design 3, promise 8",
        "write the token as it is set in rules.clear_token (--clear-token), upper and lower case too, or empty the cell",
    ),
    structural(
        "duplicate.rejected",
        "another row has the same subject, and the policy for duplicates is reject",
        "design 2: rows for the same subject",
        "keep one row per subject, or choose another --duplicates policy",
    ),
    rule(
        "conflict.number",
        WARN,
        "several subjects claim the same number",
        "design 2: conflicts; field-rules 6.3",
        "leave the number with one subject; recycled numbers often have a former customer's row",
    ),
    rule(
        "conflict.imsi",
        WARN,
        "several subjects claim the same IMSI",
        "design 2: conflicts; 3GPP TS 23.003 clause 2.2",
        "leave the IMSI with one subject",
    ),
    rule(
        "conflict.iccid",
        WARN,
        "several subjects claim the same ICCID",
        "design 2: conflicts; ITU-T E.118",
        "leave the ICCID with one subject",
    ),
    rule(
        "x.imei_shared",
        WARN_BUT_LENIENT,
        "several subjects have the same IMEI",
        "field-rules 1.11",
        "check which of them has the device; a placeholder or a device passed on looks the same",
    ),
    rule(
        "x.pair",
        WARN_BUT_LENIENT,
        "one ICCID comes with two IMSIs",
        "field-rules 1.11",
        "check which IMSI is on the card; multi-IMSI cards are legitimate",
    ),
    rule(
        "x.old_differs",
        WARN_BUT_LENIENT,
        "an old number, IMSI or ICCID is another than was last acknowledged, which is taken instead",
        "issue 4: conflicts; field-rules 6.4",
        "check how old the export is; where the old columns are wrong, name others with --old FIELD=COLUMN",
    ),
    rule(
        "x.old_invalid",
        WARN_BUT_LENIENT,
        "an old number, IMSI or ICCID is none; who gives it up is not known from this row",
        "issue 4: conflicts",
        "correct the old value, or leave it empty",
    ),
];
