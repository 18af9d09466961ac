//! A survey tells and gathers the same on any number of threads.

use std::collections::HashSet;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Emitter, GatherOptions, Identity, Judge, RowRules, SurveyError, survey, survey_watched};
use crate::digest::StateKey;
use crate::engine::clock::Clock;
use crate::engine::signals::Signals;
use crate::event::{Event, Listener, Stamped};
use crate::fields::{RuleOptions, RuleSet};
use crate::input::{AheadOptions, InputOptions, Inputs};
use crate::plan::{
    ConflictPolicy, CyclePolicy, DuplicatePolicy, Filter, InDoubtPolicy, NoLedger, PlanRules, SendMode,
};
use crate::update::FieldKind;

#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn on_event(&mut self, stamped: &Stamped) {
        if let Event::Progressed { .. } = stamped.event {
            assert!(stamped.at_ms < 3_600_000, "the run's clock");
        }
        self.0.push(format!("{:?}", stamped.event));
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
enum Way {
    Threads(AheadOptions),
    Watched,
}

/// All events, and the plan: the ruling on every row and its counts.
fn surveyed(files: &[String], row_rules: &RowRules, way: Way) -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (at, content) in files.iter().enumerate() {
        let path = dir.path().join(format!("{at}.csv"));
        std::fs::write(&path, content).unwrap();
        paths.push(path.to_string_lossy().into_owned());
    }
    let options = InputOptions { inputs: paths, watched: row_rules.watched(), ..InputOptions::default() };
    let Ok(mut inputs) = Inputs::open(&options) else { return Default::default() };
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let state_key = StateKey::new(&[7; StateKey::LEN]);
    let find_run = |run: &str| (run == "r-1").then_some(1);
    let key_field = FieldKind::UserExternalId;
    let identity = Identity { state_key: &state_key, target: "t", key_field, find_run: &find_run };
    let mut judge = Judge::new(&rules, Some(identity)).minding(row_rules);
    let mut heard = Heard::default();
    let mut emitter = Emitter::new(Clock::start(), &mut heard);
    let (signals, gather) = (Signals::default(), GatherOptions::default());
    let gathered = match way {
        Way::Threads(ahead) => survey(&mut inputs, &mut judge, &mut emitter, &signals, &gather, ahead),
        Way::Watched => {
            survey_watched(&mut inputs, &mut judge, &mut emitter, &signals, &gather, &mut |_, _, _| {})
        }
    };
    let damaged = format!("{:?}", judge.damaged());
    let mut planned = vec![damaged];
    match gathered {
        Ok(gather) => {
            let rows = gather.rows();
            let plan = gather.finish(&plan_rules(), &NoLedger, 1).unwrap();
            planned.push(format!("{:?} {:?}", plan.facts(), plan.conflicts()));
            planned.extend(
                (1..=rows).map(|row| format!("{:?} {:?}", plan.ruling(row), plan.version_ordinal(row))),
            );
        }
        Err(SurveyError::Source(error)) => {
            planned.push(error.to_string().replace(&*dir.path().to_string_lossy(), ""));
        }
        Err(error) => panic!("{error:?}"),
    }
    let events = heard.0.iter().map(|event| event.replace(&*dir.path().to_string_lossy(), ""));
    (events.collect(), planned)
}

fn plan_rules() -> PlanRules {
    PlanRules {
        duplicates: DuplicatePolicy::Fold,
        conflicts: ConflictPolicy::Hold,
        break_cycles: CyclePolicy::No,
        clearable: crate::update::FieldSet::EMPTY,
        in_doubt: InDoubtPolicy::Resend,
        send: SendMode::Full,
        full: false,
        resend_after_s: None,
        retry_failed: false,
        now_s: 0,
        batch: 2,
        older_open: None,
        key: FieldKind::UserExternalId,
        tag: None,
        samples: 0,
    }
}

const HEADER: &str = "record id,phone,imei,imsi,sim,login,tier,changed,state,_run,_row\n";

/// Identifiers in several spellings, so that the books of columns have something to tell.
const IDS: [&str; 9] = [
    "crm-1",
    "CRM-1",
    "0035g00000abcde",
    "0035g00000abcdeAAA",
    "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "12345678901234560000",
    "1.2E+15",
    "",
];

fn row() -> impl Strategy<Value = String> {
    let id = prop_oneof![6 => "[a-f]{3}[0-9]{4}", 1 => "[a-z0-9]{15}", 2 => select(&IDS[..]).prop_map(str::to_owned)];
    let phone = prop_oneof![
        4 => "\\+4479[0-9]{8}",
        1 => "\\+44 79[0-9]{2} [0-9]{6}",
        1 => "079[0-9]{8}",
        1 => Just("n/a".to_owned()),
        1 => "[0-9]{3,16}",
    ];
    let imei = prop_oneof!["35686800[0-9]{7}", "35686800[0-9]{6}", "3.5E[0-9]{2}"];
    let imsi = prop_oneof!["23415[0-9]{10}", Just(String::new())];
    let sim = prop_oneof![3 => "8944110[0-9]{12}", 1 => "8944110[0-9]{13}", 1 => "8944110[0-9]{9}000"];
    let login = prop_oneof!["[a-z]{3,9}@example.org", "\\+4479[0-9]{8}"];
    let tier =
        prop_oneof![3 => select(&["gold", "Gold", "basic"][..]).prop_map(str::to_owned), 2 => "[a-z]{1,2}"];
    let changed =
        prop_oneof![8 => "2026-11-[12][0-9]", 1 => Just(String::new()), 1 => "[0-9]{1,3}", 1 => "x"];
    let state = select(&["active", "gone"][..]);
    let origin = prop_oneof![20 => Just(",".to_owned()), 2 => "r-1,[1-9]", 1 => "r-2,1"];
    let cells = (id, phone, imei, imsi, sim, login, tier, changed, state, origin);
    cells.prop_map(|(id, phone, imei, imsi, sim, login, tier, changed, state, origin)| {
        format!("{id},{phone},{imei},{imsi},{sim},{login},{tier},{changed},{state},{origin}\n")
    })
}

fn file() -> impl Strategy<Value = String> {
    let odd = select(&["\n", "a\n", "1,2\n", "a,b,\"c\nd\",e,f,g,h,i,j,,\n", "Total rows: 3\n"][..]);
    let line = prop_oneof![30 => row(), 1 => odd.prop_map(str::to_owned)];
    vec(line, 0..900).prop_map(|lines| format!("{HEADER}{}", lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn threads_change_nothing(
        files in vec(file(), 1..3),
        stretch_bytes in 200_usize..2_000,
        is_ordered: bool,
        is_filtered: bool,
    ) {
        let filter = if is_filtered { Filter::parse(&["state=active".to_owned()]).unwrap() } else { Filter::default() };
        let order_by = is_ordered.then(|| "changed".to_owned());
        let rules = RowRules { filter, order_by, ..RowRules::default() };
        let alone = surveyed(&files, &rules, Way::Threads(AheadOptions::new(1)));
        let options = AheadOptions { stretch_bytes, behind_bytes: 400, bytes_min: 0, ..AheadOptions::new(4) };
        prop_assert_eq!(&surveyed(&files, &rules, Way::Threads(options)), &alone);
        prop_assert_eq!(&surveyed(&files, &rules, Way::Watched), &alone);
    }
}

#[test]
fn rows_are_judged_on_several_threads() {
    let seen = Mutex::new(HashSet::new());
    let find_run = |_: &str| {
        seen.lock().unwrap().insert(std::thread::current().id());
        Some(1)
    };
    let row = |n: usize| format!("id-{n},+44791{n:07},,23415{n:010},8944110{n:012},,gold,,,r-{n},7\n");
    let text: String = std::iter::once(HEADER.to_owned()).chain((0..60_000).map(row)).collect();
    let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let inputs = vec![file.path().to_string_lossy().into_owned()];
    let mut inputs = Inputs::open(&InputOptions { inputs, ..InputOptions::default() }).unwrap();
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let state_key = StateKey::new(&[7; StateKey::LEN]);
    let key_field = FieldKind::UserExternalId;
    let identity = Identity { state_key: &state_key, target: "t", key_field, find_run: &find_run };
    let mut judge = Judge::new(&rules, Some(identity));
    let mut heard = Heard::default();
    let mut emitter = Emitter::new(Clock::start(), &mut heard);
    let (signals, gather, ahead) = (Signals::default(), GatherOptions::default(), AheadOptions::new(3));
    let gathered = survey(&mut inputs, &mut judge, &mut emitter, &signals, &gather, ahead).unwrap();
    assert_eq!(gathered.rows(), 60_000);
    assert!(seen.lock().unwrap().len() > 1, "only this thread has asked for a run");
}

/// More classes, kinds of records and identifiers than are kept, and an error in the middle.
#[test]
fn what_is_kept_of_columns_hangs_on_the_order_of_rows() {
    let row = |n: usize| {
        let (kind, class) = (n * 7 % 40, n * 11 % 90);
        let id = if n.is_multiple_of(3) {
            format!("k{kind:02}5g00000{n:05}")
        } else {
            format!("ID-{:05}", n % 9_000)
        };
        let id = if n.is_multiple_of(5) { id.to_lowercase() } else { id };
        format!("{id},+44791{n:07},,23415{n:010},8944110{n:012},,tier {class},,,,\n")
    };
    let mut text: String = std::iter::once(HEADER.to_owned()).chain((0..25_000).map(row)).collect();
    let options = AheadOptions { stretch_bytes: 9_000, bytes_min: 0, ..AheadOptions::new(4) };
    let rules = RowRules::default();
    for is_broken in [false, true] {
        if is_broken {
            text.push_str("x,\"open\n");
            text.push_str(&row(1).repeat(200));
        }
        let files = [text.clone()];
        let alone = surveyed(&files, &rules, Way::Threads(AheadOptions::new(1)));
        let ahead = surveyed(&files, &rules, Way::Threads(options));
        assert_eq!(ahead.0.len(), alone.0.len());
        assert!(ahead == alone, "{:?}", ahead.0.iter().zip(&alone.0).find(|(one, other)| one != other));
        assert_eq!(alone.1[1].contains("quote"), is_broken, "{}", alone.1[1]);
    }
}
