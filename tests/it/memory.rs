//! How a run keeps its memory: one heap for all threads.

use std::fs;

use simsync::sandbox::Faults;

use crate::support::{Workspace, export};

/// The arenas that glibc may make in a process, as its environment says.
fn arenas(pid: u32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    variables.filter_map(|pair| pair.strip_prefix("MALLOC_ARENA_MAX=").map(str::to_owned)).next()
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_has_one_heap_under_the_pid_it_was_started_with_unless_told_otherwise() {
    for (told, expected) in [(None, "1"), (Some("3"), "3")] {
        let workspace = Workspace::with(Faults { latency_ms: 50, ..Faults::default() });
        workspace.write("crm.csv", export(60));
        let mut command = workspace.sync_command(&["--max-in-flight", "1", "crm.csv"]);
        command.env_remove("MALLOC_ARENA_MAX");
        command.envs(told.map(|number| ("MALLOC_ARENA_MAX", number)));
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        workspace.wait_for_requests(1);
        assert_eq!(arenas(child.id()).as_deref(), Some(expected));
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
