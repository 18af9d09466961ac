//! The thin entry: private files by default, no core dumps, one heap, the command line, an exit code. Everything else
//! is in the library.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Whatever this process writes is private to its user; sled creates its files with the default mode.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // A core dump would hold the token and rows in clear.
    let no_core = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if rustix::process::setrlimit(rustix::process::Resource::Core, no_core).is_err() {
        // Without the limit the run is as correct as with it.
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    simsync::engine::memory::keep_one_arena(&args);
    match simsync::cli::parse(args.clone()) {
        Ok(cli) => ExitCode::from(simsync::cli::run(&cli, &args).code()),
        Err(usage) => {
            drop(usage.print());
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    }
}
