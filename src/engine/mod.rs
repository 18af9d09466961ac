//! The engine: threads, runtimes, clock, chance and signals. Everything that moves by itself lives here.
//!
//! Edge. It knows nothing of updates, the API or the journal: it runs what the wiring hands it. Not here: what to
//! send and when (`delivery/`), and what is sent (`api/`).

pub mod chance;
pub mod clock;
pub mod credit;
pub mod memory;
pub mod permits;
pub mod senders;
pub mod signals;

/// Name of this machine, as a lock names its holder.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
