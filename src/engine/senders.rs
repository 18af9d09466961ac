//! The senders: a few threads, each with a single-threaded runtime of its own, on which attempts run.
//!
//! A few `current_thread` runtimes with a client each beat one multi-threaded runtime by 1.35 to 2 times, because
//! a request and its connection never sit on different cores. Not here: what an attempt is; the wiring passes it in
//! as a function.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Threads that run attempts. `J` is what an attempt is made of.
#[derive(Debug)]
pub struct Senders<J> {
    /// How many attempts are on the wire is bounded by the scheduler, so these queues are, too.
    queues: Vec<UnboundedSender<J>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
}

impl<J: Send + 'static> Senders<J> {
    /// Starts `count` threads. `make` is called on each of them, inside its runtime, and yields the function that
    /// performs an attempt there (and owns that thread's client).
    ///
    /// # Errors
    /// When a thread or a runtime cannot be made, or `make` fails.
    pub fn start<M, A, F>(count: usize, make: M) -> io::Result<Senders<J>>
    where
        M: Fn() -> io::Result<A>,
        A: Fn(J) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut senders = Senders { queues: Vec::new(), threads: Vec::new(), next: 0 };
        for index in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let attempt = {
                let _inside = runtime.enter();
                make()?
            };
            let (queue, jobs) = unbounded_channel();
            let thread = std::thread::Builder::new()
                .name(format!("sender-{index}"))
                .spawn(move || runtime.block_on(serve(jobs, attempt)))?;
            senders.queues.push(queue);
            senders.threads.push(thread);
        }
        Ok(senders)
    }

    /// Starts an attempt on the next thread in turn.
    pub fn send(&mut self, job: J) {
        let index = self.next % self.queues.len();
        self.next = self.next.wrapping_add(1);
        if self.queues[index].send(job).is_err() {
            tracing::error!("a sender thread is gone; its attempts stay without an outcome");
        }
    }

    /// Ends the threads. Attempts still on the wire are cut off.
    pub fn stop(self) {
        drop(self.queues);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a sender thread panicked");
            }
        }
    }
}

async fn serve<J, A, F>(mut jobs: UnboundedReceiver<J>, attempt: A)
where
    A: Fn(J) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            // Completions first, so that their slots are freed before new work is taken.
            biased;
            Some(ended) = running.join_next(), if !running.is_empty() => {
                if ended.is_err() {
                    tracing::error!("an attempt panicked");
                }
            }
            job = jobs.recv() => match job {
                Some(job) => { running.spawn(attempt(job)); }
                None => break,
            },
        }
    }
    running.abort_all();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_job_runs_and_stop_cuts_the_hanging_one() {
        let (done, results) = mpsc::channel();
        let mut senders = Senders::start(2, || {
            let done = done.clone();
            Ok(move |job: u32| {
                let done = done.clone();
                async move {
                    if job == 7 {
                        std::future::pending::<()>().await;
                    }
                    done.send(job).unwrap();
                }
            })
        })
        .unwrap();
        for job in 0..10 {
            senders.send(job);
        }
        let mut seen: Vec<u32> = (0..9).map(|_| results.recv().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
        senders.stop();
        drop(done);
        assert!(results.recv().is_err(), "the hanging job was cut off");
    }
}
