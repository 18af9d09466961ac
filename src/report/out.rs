//! A shared writer for standard output or standard error. A reader that went away (`| head`) ends the writing
//! quietly, where `println!` would panic; any other error is kept for the end of the run.
//!
//! Not here: the progress bar's dealings with standard error (`console.rs`).

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A writer shared by all who print to one stream.
#[derive(Clone)]
pub struct Out {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    writer: Box<dyn Write + Send>,
    is_closed: bool,
    failure: Option<io::Error>,
}

impl Out {
    /// Standard output: data.
    pub fn stdout() -> Out {
        Out::to(Box::new(io::stdout()))
    }

    /// Standard error: text for people.
    pub fn stderr() -> Out {
        Out::to(Box::new(io::stderr()))
    }

    /// Any other writer, for tests.
    pub fn to(writer: Box<dyn Write + Send>) -> Out {
        Out { inner: Arc::new(Mutex::new(Inner { writer, is_closed: false, failure: None })) }
    }

    /// Writes text and flushes it. After the first error nothing is written any more.
    pub fn write(&self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    /// Writes bytes and flushes them, like [`Out::write`].
    pub fn write_bytes(&self, bytes: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_closed {
            return;
        }
        let written = inner.writer.write_all(bytes).and_then(|()| inner.writer.flush());
        if let Err(error) = written {
            inner.is_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                inner.failure = Some(error);
            }
        }
    }

    /// Whether writing has ended, because the reader went away or an error occurred.
    pub fn is_closed(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).is_closed
    }

    /// Takes the error that ended the writing, if it was another than a closed pipe.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A writer whose text a test can read afterwards.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn out(&self) -> Out {
            Out::to(Box::new(self.clone()))
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fails every write with one kind of error, counting them.
    struct Failing(io::ErrorKind, Arc<Mutex<u32>>);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.1.lock().unwrap() += 1;
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_the_writing_quietly() {
        let writes = Arc::new(Mutex::new(0));
        let out = Out::to(Box::new(Failing(io::ErrorKind::BrokenPipe, Arc::clone(&writes))));
        out.write("a");
        out.write("b");
        assert!(out.is_closed());
        assert!(out.take_failure().is_none());
        assert_eq!(*writes.lock().unwrap(), 1, "nothing is written after the pipe closed");
    }

    #[test]
    fn a_real_pipe_without_a_reader_is_quiet_too() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let out = Out::to(Box::new(writer));
        out.write("a");
        assert!(out.is_closed());
        assert!(out.take_failure().is_none());
    }

    #[test]
    fn a_full_disk_is_told() {
        let out = Out::to(Box::new(Failing(io::ErrorKind::StorageFull, Arc::default())));
        out.write("a");
        assert_eq!(out.take_failure().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
