//! What a journal keeps per target: the key field, and what was acknowledged.

use crate::support::{Workspace, export};

#[test]
fn the_key_is_chosen_once_and_another_one_has_to_be_given() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,mobile,tier\nCRM-1,+447910000001,basic\n");
    let first = workspace.sync(&["crm.csv"]).expect(0);
    assert_eq!(first.summary()["key"], "user_external_id");
    assert!(
        first.summary()["notices"]
            .to_string()
            .contains("key field: user_external_id (chosen from the header")
    );
    // Without the column there is no subject, and no other key is taken in silence.
    workspace.write("mobiles.csv", "mobile,tier\n+447910000001,premium\n");
    let without = workspace.sync(&["mobiles.csv"]).expect(6);
    assert!(
        without.stderr.contains("user_external_id") && without.stderr.contains("--key"),
        "{}",
        without.stderr
    );
    assert_eq!(workspace.sandbox.stats().requests, 1);
    let given = workspace.sync(&["--key", "number", "mobiles.csv"]).expect(0).expect_books();
    assert_eq!((given.rows("synced"), given.summary()["key"].as_str()), (1, Some("number")));
    // What was kept stays: a key given for one run is that run's.
    let back = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((back.rows("unchanged"), back.summary()["key"].as_str()), (1, Some("user_external_id")));
}

#[test]
fn two_targets_in_one_state_directory_know_nothing_of_each_other() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.write("crm.csv", export(10));
    here.sync(&["crm.csv"]).expect(0);
    let url = there.sandbox.url();
    let at_there = |rows| {
        let ran = here.run(&["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"]);
        assert_eq!(ran.expect(0).expect_books().rows(rows), 10);
    };
    at_there("synced");
    at_there("unchanged");
    assert_eq!(here.sync(&["crm.csv"]).expect(0).rows("unchanged"), 10);
    assert_eq!((here.sandbox.stats().requests, there.sandbox.stats().requests), (10, 10));
}

#[test]
fn a_named_target_keeps_its_journal_when_the_address_changes() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.configure("[api]\ntarget = \"production\"\n");
    here.write("crm.csv", export(10));
    here.sync(&["crm.csv"]).expect(0);
    let url = there.sandbox.url();
    let moved = here.run(&["sync", "--api-url", &url, "--json", "crm.csv"]).expect(0);
    assert_eq!((moved.rows("unchanged"), there.sandbox.stats().requests), (10, 0));
}

#[test]
fn there_are_no_shards_yet() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(1));
    let ran = workspace.sync(&["--shard", "1/2", "crm.csv"]).expect(2);
    assert!(ran.stderr.contains("--shard"), "{}", ran.stderr);
}
