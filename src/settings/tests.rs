//! Tests of precedence, origins, errors and what is shown. Not here: tests of single kinds of values (`value.rs`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::*;
use crate::config::{EXAMPLE, FileError};
use crate::exit::Exit;
use crate::fields::Severity;

/// A working directory of its own, with its configuration file and variables.
struct World {
    dir: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
    flags: Flags,
}

impl World {
    fn new() -> World {
        World { dir: tempfile::tempdir().unwrap(), variables: Vec::new(), flags: Flags::default() }
    }

    fn file(self, name: &str, text: &str) -> World {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: impl Into<OsString>) -> World {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, flag: &'static str, text: &str) -> World {
        self.flags.set(flag, text);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn resolve(&self) -> Result<Resolved, ConfigError> {
        let around = Surroundings::new(self.variables.clone(), self.dir.path().to_owned());
        resolve(&self.flags, &around.with_system_config(self.path("etc/config.toml")))
    }

    fn error(&self) -> String {
        let error = self.resolve().unwrap_err();
        let text = format!("{error}\n{}\nexit {}", error.remedy(), error.exit().code());
        text.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

#[test]
fn a_default_gives_way_to_the_bound_that_was_set() {
    let resolved = World::new().file("simsync.toml", "[api]\ntimeout = \"5s\"\n").resolve().unwrap();
    let api = &resolved.settings.api;
    assert_eq!((api.timeout_ms, api.connect_timeout_ms, api.read_timeout_ms), (5_000, 5_000, 5_000));
    assert!(show(&resolved, false).contains("connect_timeout = \"5s\""));
}

#[test]
fn defaults_are_those_of_the_design() {
    let settings = World::new().resolve().unwrap().settings;
    assert_eq!(settings.state, Path::new("./simsync-state"));
    assert_eq!(settings.api.envelope, Envelope::DataString);
    assert_eq!((settings.api.timeout_ms, settings.api.connect_timeout_ms), (30_000, 10_000));
    assert_eq!(settings.api.read_timeout_ms, 30_000);
    assert_eq!(settings.delivery.rate, Rate::Every { count: 50, per: Per::Second });
    assert_eq!((settings.delivery.burst, settings.delivery.max_in_flight), (1, 64));
    assert_eq!(settings.delivery.max_errors, None);
    assert_eq!(settings.delivery.senders, None);
    assert_eq!(settings.plan.duplicates, DuplicatePolicy::Fold);
    assert_eq!(settings.plan.rejected_max, Share::parse("30%").unwrap());
    assert_eq!(settings.rules, RuleOptions::default());
    assert_eq!((settings.input.row_bytes_max, settings.input.field_bytes_max), (1 << 20, 1 << 16));
    assert!(matches!(settings.url(), Err(ConfigError::NoUrl)));
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let world =
        World::new().file("simsync.toml", "[delivery]\nrate = \"3/s\"\nburst = 3\nmax_in_flight = 3\n");
    let world = world.variable("SIMSYNC_RATE", "2/s").variable("SIMSYNC_BURST", "2").flag("rate", "1/s");
    let resolved = world.resolve().unwrap();
    let delivery = &resolved.settings.delivery;
    assert_eq!((delivery.rate.to_string().as_str(), delivery.burst, delivery.max_in_flight), ("1/s", 2, 3));
    let origin =
        |key| resolved.origin(key).unwrap().to_string().replace(world.dir.path().to_str().unwrap(), "DIR");
    assert_eq!(origin("delivery.rate"), "--rate");
    assert_eq!(origin("delivery.burst"), "SIMSYNC_BURST");
    assert_eq!(origin("delivery.max_in_flight"), "DIR/simsync.toml:4");
    assert_eq!(origin("delivery.attempts_max"), "default");
}

#[test]
fn tables_of_names_are_merged_name_by_name() {
    let world = World::new().file(
        "simsync.toml",
        "[columns]\nnumber = \"A\"\nimsi = \"B\"\niccid = \"C\"\n[rules.severity]\nimei.luhn = \"warn\"\n\"x.same\" = \"off\"\n",
    );
    let world = world
        .variable("SIMSYNC_MAP", "imsi=B2, imei=D")
        .flag("map", "number=A = 2, main")
        .flag("map", "username=E");
    let resolved = world.resolve().unwrap();
    let columns: Vec<_> =
        resolved.settings.input.columns.iter().map(|(kind, column)| (kind.name(), column.as_str())).collect();
    assert_eq!(
        columns,
        [("number", "A = 2, main"), ("imei", "D"), ("imsi", "B2"), ("iccid", "C"), ("username", "E")]
    );
    let severities = resolved.settings.rules.severities;
    assert_eq!(severities, [("imei.luhn".to_owned(), Severity::Warn), ("x.same".to_owned(), Severity::Off)]);
}

#[test]
fn the_file_is_looked_for_in_four_places() {
    let text = |state: &str| format!("state = \"/{state}\"");
    let mut world = World::new().file("etc/config.toml", &text("machine"));
    let state = |world: &World| world.resolve().unwrap().settings.state.to_str().unwrap().to_owned();
    assert_eq!(state(&world), "/machine");
    let home = world.path("home");
    world = world.file("home/.config/simsync/config.toml", &text("home")).variable("HOME", home);
    assert_eq!(state(&world), "/home");
    let xdg = world.path("xdg");
    world = world.file("xdg/simsync/config.toml", &text("user")).variable("XDG_CONFIG_HOME", xdg);
    assert_eq!(state(&world), "/user");
    world = world.file("simsync.toml", &text("here"));
    assert_eq!(state(&world), "/here");
    let named = world.path("named.toml");
    world = world.file("named.toml", &text("variable")).variable("SIMSYNC_CONFIG", named);
    assert_eq!(state(&world), "/variable");
    world = world.file("flag.toml", &text("flag"));
    world.flags.set_config(world.path("flag.toml"));
    assert_eq!(state(&world), "/flag");
    world.flags.set_config(world.path("gone.toml"));
    assert!(matches!(
        world.resolve(),
        Err(ConfigError::File(FileError::Missing { named_by: "--config", .. }))
    ));
}

#[test]
fn a_file_that_is_there_and_cannot_be_used_is_never_passed_over() {
    let world = World::new().file("etc/config.toml", "");
    std::fs::create_dir(world.path("simsync.toml")).unwrap();
    assert!(matches!(world.resolve(), Err(ConfigError::File(FileError::Unreadable { .. }))));
}

#[test]
fn paths_of_a_file_are_meant_from_its_directory() {
    let world =
        World::new().file("etc/config.toml", "state = \"journal\"\n[api]\ntoken_file = \"/run/token\"\n");
    let settings = world.resolve().unwrap().settings;
    assert_eq!(settings.state, world.path("etc/journal"));
    assert!(matches!(settings.api.token, TokenChoice::File(path) if path == Path::new("/run/token")));
    let world = World::new().file("simsync.toml", "state = \"journal\"");
    assert_eq!(world.resolve().unwrap().settings.state, Path::new("journal"));
}

#[test]
fn an_error_of_a_flag_or_variable_says_what_where_and_what_to_do() {
    insta::assert_snapshot!(World::new().flag("rate", "fast").error(), @r#"
    --rate: `fast` is no rate: the unit of time is missing
    expected a count and a unit of time, such as 200/s, 100/m or 5000/h, or unlimited
    exit 2
    "#);
    insta::assert_snapshot!(World::new().variable("SIMSYNC_RATE", "200").error(), @r#"
    SIMSYNC_RATE: `200` is no rate: the unit of time is missing
    expected a count and a unit of time, such as 200/s, 100/m or 5000/h, or unlimited
    exit 10
    "#);
    insta::assert_snapshot!(World::new().variable("SIMSYNC_API_TIMEOUT", OsString::from_vec(vec![0xff])).error(), @r#"
    the value of SIMSYNC_API_TIMEOUT is not UTF-8
    write it in UTF-8
    exit 10
    "#);
    insta::assert_snapshot!(World::new().flag("map", "phone=Mobile").error(), @r#"
    --map: `phone` is no field
    expected FIELD=COLUMN with a field of number, generic_id, imei, imsi, iccid, username, password, user_external_id, user_class
    exit 2
    "#);
    insta::assert_snapshot!(World::new().flag("map", "number=A").flag("map", "number=B").error(), @r#"
    --map: `number` is given twice
    expected FIELD=COLUMN with a field of number, generic_id, imei, imsi, iccid, username, password, user_external_id, user_class
    exit 2
    "#);
}

#[test]
fn an_error_of_a_key_in_the_file_says_what_where_and_what_to_do() {
    let file = |text: &str| World::new().file("simsync.toml", text).error();
    insta::assert_snapshot!(file("[delivery]\n# slow\nraet = \"5/s\"\n"), @r#"
    DIR/simsync.toml:3: `delivery.raet` is no setting
      |
    3 | raet = …
      | ^^^^
    did you mean `delivery.rate`?
    exit 10
    "#);
    insta::assert_snapshot!(file("rate = \"5/s\"\n"), @r#"
    DIR/simsync.toml:1: `rate` is no setting
      |
    1 | rate = …
      | ^^^^
    did you mean `delivery.rate`?
    exit 10
    "#);
    insta::assert_snapshot!(file("[delivry]\n"), @r#"
    DIR/simsync.toml:1: `delivry` is no setting
      |
    1 | [delivry]
      |  ^^^^^^^
    did you mean `delivery`?
    exit 10
    "#);
    insta::assert_snapshot!(file("delivery = 3\n"), @r#"
    DIR/simsync.toml:1: `delivery` is no setting
      |
    1 | delivery = …
      | ^^^^^^^^
    it is a section: write [delivery], and its settings in the lines below
    exit 10
    "#);
}

#[test]
fn an_error_of_a_value_in_the_file_says_what_where_and_what_to_do() {
    let file = |text: &str| World::new().file("simsync.toml", text).error();
    insta::assert_snapshot!(file("[api]\ntimeout = 30\n"), @r#"
    DIR/simsync.toml:2: api.timeout: `30` has no unit of time
      |
    2 | timeout = 30
      |           ^^
    expected a duration from 100ms to 1h
    exit 10
    "#);
    insta::assert_snapshot!(file("[delivery]\nburst = \"3\"\n"), @r#"
    DIR/simsync.toml:2: delivery.burst: it is a text in quotes
      |
    2 | burst = "3"
      |         ^^^
    expected a whole number from 1 to 100000
    exit 10
    "#);
    insta::assert_snapshot!(file("[rules.severity]\n\"imei.luhn\" = \"eror\"\n"), @r#"
    DIR/simsync.toml:2: rules.severity: `eror` is no choice; did you mean `error`?
      |
    2 | "imei.luhn" = "eror"
      | ^^^^^^^^^^^
    expected CODE=LEVEL with a level of off, fix, warn, error
    exit 10
    "#);
    insta::assert_snapshot!(file("[run]\nfull = true\n"), @r#"
    DIR/simsync.toml:2: `run.full` is no setting
      |
    2 | full = …
      | ^^^^
    give it for one run: --full, or SIMSYNC_FULL
    exit 10
    "#);
    insta::assert_snapshot!(file("[api]\ntoken = \"c4n4ry\"\n"), @r#"
    DIR/simsync.toml:2: `api.token` is no setting
      |
    2 | token = …
      | ^^^^^
    the token has no place in this file: name a file that holds it with api.token_file
    exit 10
    "#);
    insta::assert_snapshot!(file("[api]\nurl = \"https://me:c4n4ry@host/\"\n"), @r#"
    DIR/simsync.toml:2: api.url: the address has a user name or password in it
      |
    2 | url = …
      | ^^^
    expected the whole address of the endpoint, such as https://host/path/
    exit 10
    "#);
    insta::assert_snapshot!(file("[api]\nconnect_timeout = \"1m\"\n"), @r#"
    api.connect_timeout (DIR/simsync.toml:2) is more than api.timeout (default)
    lower api.connect_timeout or raise api.timeout
    exit 10
    "#);
}

#[test]
fn no_error_repeats_a_credential() {
    for text in [
        "[api]\ntoken = \"c4n4ry\"",
        "token = \"c4n4ry\"",
        "[api]\nurl = \"https://me:c4n4ry@host/\"",
        "[api]\nurl = \"c4n4ry\"",
        "[api]\ntoken_command = \"echo c4n4ry\\u0007\"",
        "[api]\ntoken_command = [\"c4n4ry\"]",
        "[api]\ntoken_file = { path = \"c4n4ry\" }",
        "[api]\nsecret = c4n4ry",
    ] {
        let error = World::new().file("simsync.toml", text).error();
        assert!(!error.contains("c4n4ry"), "{error}");
    }
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    assert_eq!(World::new().flag("burst", "x").resolve().unwrap_err().exit(), Exit::Usage);
    assert_eq!(World::new().variable("SIMSYNC_BURST", "x").resolve().unwrap_err().exit(), Exit::Config);
    assert_eq!(World::new().file("simsync.toml", "x = 1").resolve().unwrap_err().exit(), Exit::Config);
}

#[test]
fn the_token_is_looked_for_in_four_places() {
    let mut world = World::new();
    let token = |world: &World| world.resolve().unwrap();
    assert_eq!(token(&world).settings.api.token.describe(), "nowhere");
    world = world.variable("SIMSYNC_TOKEN", "c4n4ry");
    assert_eq!(token(&world).settings.api.token.describe(), "variable SIMSYNC_TOKEN");
    assert!(token(&world).warnings.is_empty());
    let credentials = world.path("credentials");
    world = world.variable("CREDENTIALS_DIRECTORY", credentials);
    assert_eq!(
        token(&world).settings.api.token.describe(),
        "variable SIMSYNC_TOKEN",
        "no credential there yet"
    );
    world = world.file("credentials/token", "x");
    assert!(matches!(token(&world).settings.api.token, TokenChoice::Credential(_)));
    world = world.variable("SIMSYNC_API_TOKEN_COMMAND", "KEY=hidden vault read hidden");
    let resolved = token(&world);
    assert_eq!(resolved.settings.api.token.describe(), "command vault …");
    assert!(resolved.warnings[0].contains("passed over"), "{:?}", resolved.warnings);
    world = world.file("simsync.toml", "[api]\ntoken_file = \"t\"");
    assert_eq!(token(&world).settings.api.token.describe(), "file t");
    let everything =
        format!("{:?} {} {}", token(&world), show(&token(&world), false), show(&token(&world), true));
    assert!(!everything.contains("c4n4ry") && !everything.contains("hidden"), "{everything}");
}

#[test]
fn surroundings_show_no_value_of_a_variable() {
    let variables = [("SIMSYNC_TOKEN", "c4n4ry"), ("OTHER", "c4n4ry")].map(|(a, b)| (a.into(), b.into()));
    let shown = format!("{:?}", Surroundings::new(variables, PathBuf::new()));
    assert!(shown.contains("OTHER") && !shown.contains("c4n4ry"), "{shown}");
}

#[test]
fn variables_that_mean_nothing_are_named_with_the_near_one() {
    let world = World::new().variable("SIMSYNC_RAET", "1").variable("SIMSYNC_DELIVERY_RATE", "1");
    let world = world.variable("SIMSYNC_XYZZY", "1").variable("SIMSYNC_RATE", "").variable("SIMSYNCX", "1");
    let warnings = world.resolve().unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "the variable SIMSYNC_DELIVERY_RATE means nothing; did you mean SIMSYNC_RATE?",
            "the variable SIMSYNC_RAET means nothing; did you mean SIMSYNC_RATE?",
            "the variable SIMSYNC_XYZZY means nothing",
        ]
    );
}

/// Uncomments the settings of the example: lines that begin with `#` and no blank.
fn uncommented(text: &str) -> String {
    let bare =
        |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).map(str::to_owned);
    text.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_example_file_is_the_table() {
    // To write it anew after a change of the table: SIMSYNC_BLESS=1 cargo test the_example_file
    if std::env::var_os("SIMSYNC_BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml"), example()).unwrap();
        return;
    }
    assert!(EXAMPLE == example(), "config.example.toml is not what the table of settings says");
}

#[test]
fn names_of_columns_and_no_header_need_each_other() {
    for (key, text) in [("column_names", "column_names = [\"imsi\"]"), ("no_header", "no_header = true")] {
        let error = World::new().file("simsync.toml", &format!("[input]\n{text}\n")).resolve().unwrap_err();
        assert!(error.to_string().contains(&format!("input.{key}")) && error.to_string().contains("without"));
        assert_eq!(error.exit(), Exit::Config);
    }
    let both = "[input]\nno_header = true\ncolumn_names = [\"imsi\"]\n";
    assert!(World::new().file("simsync.toml", both).resolve().is_ok());
}

#[test]
fn the_example_file_equals_the_defaults() {
    let as_it_is = World::new().file("simsync.toml", EXAMPLE).resolve().unwrap();
    assert_eq!(format!("{:?}", as_it_is.settings), format!("{:?}", Settings::default()));
    // Names of columns need the word that there is no header, which is not the default.
    let text = uncommented(EXAMPLE).replace("\ncolumn_names", "\n#column_names");
    let uncommented = World::new().file("simsync.toml", &text).resolve().unwrap();
    let is_alone = |setting: &&Setting| setting.key != "input.column_names";
    for setting in
        SETTINGS.iter().filter(|setting| !setting.is_of_run && !setting.is_pairs()).filter(is_alone)
    {
        let (value, origin) = uncommented.values.get(setting.key);
        assert!(matches!(origin, Origin::File { .. }), "{} is not in the example", setting.key);
        if !setting.default.is_empty() {
            assert_eq!(*value, setting.default_value(), "{}", setting.key);
        }
    }
    assert_eq!(uncommented.settings.input.columns.len(), 1);
    assert_eq!(uncommented.settings.rules.severities.len(), 1);
    assert_eq!(uncommented.settings.rules.class_map.len(), 1);
}

#[test]
fn what_is_shown_is_a_configuration_file_with_the_same_meaning() {
    let world = World::new()
        .file("simsync.toml", "[rules]\nnull_markers = []\n[rules.severity]\nimei.luhn = \"error\"\n");
    let world = world.flag("map", "number=Mobile \"1\"").flag("rate", "100/m").flag("full", "true");
    let world = world.variable("SIMSYNC_API_TIMEOUT", "90s");
    let resolved = world.resolve().unwrap();
    let shown = show(&resolved, false);
    for line in [
        "rate = \"100/m\" # flag --rate",
        "timeout = \"90s\" # env SIMSYNC_API_TIMEOUT",
        "# target = (not set) # default",
        "# full = true # flag --full",
        "null_markers = [] # file DIR/simsync.toml:2",
        "number = \"Mobile \\\"1\\\"\" # flag --map",
    ] {
        let line = line.replace("DIR", world.dir.path().to_str().unwrap());
        let is_line = |shown: &str| shown.split_whitespace().eq(line.split_whitespace());
        assert!(shown.lines().any(is_line), "{line}\nin\n{shown}");
    }
    let again = World::new().file("simsync.toml", &shown).resolve().unwrap().settings;
    let (before, mut after) = (resolved.settings, again);
    after.run.full = true;
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn what_is_shown_as_json_has_values_and_origins() {
    let world = World::new()
        .file("simsync.toml", "[delivery]\nburst = 7\n")
        .variable("SIMSYNC_RULES_CLASS_ALLOWED", "a,b");
    let world = world.flag("severity", "imei.luhn=error");
    let shown: serde_json::Value = serde_json::from_str(&show(&world.resolve().unwrap(), true)).unwrap();
    let setting = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap().clone()
    };
    assert_eq!(setting("delivery.burst")["value"], 7);
    assert_eq!(setting("delivery.burst")["origin"]["line"], 2);
    assert_eq!(setting("rules.class_allowed")["value"], serde_json::json!(["a", "b"]));
    assert_eq!(setting("rules.severity.imei.luhn")["origin"]["flag"], "--severity");
    assert_eq!(setting("api.url")["value"], serde_json::Value::Null);
}

#[test]
fn none_unsets_a_limit_that_somebody_else_has_set() {
    let limits =
        "[delivery]\nmax_rows = 5\nmax_duration = \"4h\"\nuntil = \"05:00\"\nmax_errors = \"none\"\n";
    let world = World::new().file("simsync.toml", limits).variable("SIMSYNC_UNTIL", "none");
    let delivery = world.flag("max-rows", "none").resolve().unwrap().settings.delivery;
    assert_eq!((delivery.max_rows, delivery.until, delivery.max_errors), (None, None, None));
    assert_eq!(delivery.max_duration_ms, Some(4 * 3_600_000));
    // What has a default cannot be without a value, and of a text it is the value.
    assert!(World::new().flag("burst", "none").error().contains("`none` is no whole number"));
    let order_by = World::new().flag("order-by", "none").resolve().unwrap().settings.input.order_by;
    assert_eq!(order_by.as_deref(), Some("none"));
}
