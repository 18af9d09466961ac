//! Reading ahead: stretches of a CSV input, read and looked at on several threads, and taken over in their order.
//!
//! The text is cut at line ends into stretches that are given to threads, each of which reads its stretch as if
//! nothing before it mattered, by the code that reads all records. Whether that was so is known when the reader has
//! come to the stretch: then it is taken over as if it had been read row by row, or forgotten and read again.
//! Whatever needs more than the stretch and some text behind it is read row by row as well. So rows, places, errors
//! and notes are the same on any number of threads. Not here: what is done with a row ([`Look`]), how a record is
//! read (`csv.rs`).

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use super::Bounds;
use super::blocks::{Source, Window, as_u64};
use super::csv::{Carry, CsvRows};
use super::error::RowError;
use super::header::CsvLayout;
use super::layout::{Layout, Shape};
use super::map::Rules;
use super::reader::{Row, RowReader, Rows, Sheet, Spot, Step, file_index};
use super::split::count_breaks;
use super::watched::{WatchedAt, WatchedCells};

/// Bytes of a stretch, at most.
pub const STRETCH_BYTES: usize = 256 << 10;

/// Bytes behind a stretch that its reader may look at: what a footer may be long, and a record.
pub const BEHIND_BYTES: usize = 80 << 10;

/// Bytes of an input from which on threads are worth their while: some thousand rows.
pub const AHEAD_BYTES_MIN: u64 = 1 << 20;

/// Stretches one after the other that could not be taken over, after which an input is read row by row.
const REFUSED_MAX: u32 = 16;

/// Lines at the end of a stretch that are looked at for one after which a record surely begins anew.
const CUTS_MAX: usize = 8;

/// How far, and by whom, inputs are read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AheadOptions {
    /// Threads that read stretches. With one, everything is read row by row.
    pub threads: usize,
    /// See [`STRETCH_BYTES`].
    pub stretch_bytes: usize,
    /// See [`BEHIND_BYTES`].
    pub behind_bytes: usize,
    /// See [`AHEAD_BYTES_MIN`].
    pub bytes_min: u64,
}

impl AheadOptions {
    /// So many threads, and the bounds that suit them.
    pub fn new(threads: usize) -> AheadOptions {
        let (stretch_bytes, behind_bytes) = (STRETCH_BYTES, BEHIND_BYTES);
        AheadOptions { threads, stretch_bytes, behind_bytes, bytes_min: AHEAD_BYTES_MIN }
    }

    /// Stretches that are read or wait to be taken over.
    fn stretches_max(self) -> usize {
        2 * self.threads + 1
    }
}

/// Somebody who looks at rows, on a thread of its own.
pub trait Look: Send {
    /// What is kept of a stretch of rows. Given back with nothing in it, it is used for another one.
    type Seen: Default + Send;

    /// Looks at a row, or at a record that is none. Its ordinal is lower than it should be, by what is known later (see
    /// [`Stretch::shift`]); `text_end` is the offset in the text behind it.
    fn row(&mut self, row: &Result<Row<'_>, RowError>, text_end: u64, seen: &mut Self::Seen);
}

/// A stretch of rows that is taken over.
#[derive(Debug)]
pub struct Stretch<S> {
    /// What was kept of its rows.
    pub seen: S,
    /// What is missing in the ordinals of its rows.
    pub shift: u64,
    /// Bytes of the inputs that are behind the reader, for a text that ends at offset 0; `None` where the text is not
    /// the input's own bytes.
    pub bytes_before: Option<u64>,
    buffer: Vec<u8>,
}

/// What readers of stretches know of an input.
struct Plan {
    name: String,
    file: u32,
    layout: Arc<CsvLayout>,
    positions: Vec<Option<usize>>,
    watched: Vec<WatchedAt>,
    columns: usize,
    rules: Arc<Rules>,
    bounds: Bounds,
}

/// A stretch to be read.
struct Task<S> {
    number: u64,
    plan: Arc<Plan>,
    text: Vec<u8>,
    begin: u64,
    until: u64,
    line: u64,
    has_names_only: bool,
    seen: S,
}

/// A stretch that was read.
struct Done<S> {
    number: u64,
    /// How it ended; `None` when it cannot be read without what is around it.
    end: Option<End>,
    seen: S,
    buffer: Vec<u8>,
}

/// How a stretch ended.
struct End {
    spot: Spot,
    carry: Carry,
    asked_for_names: bool,
}

/// A stretch that was given to a thread.
#[derive(Debug, Clone, Copy)]
struct Given {
    number: u64,
    begin: u64,
    until: u64,
    /// The line behind it.
    line_behind: u64,
    has_names_only: bool,
}

type Answer<S> = Result<Done<S>, Box<dyn Any + Send>>;

/// Threads that read stretches. They end when it is dropped.
pub struct Pool<L: Look> {
    options: AheadOptions,
    tasks: Sender<Task<L::Seen>>,
    answers: Receiver<Answer<L::Seen>>,
    /// Stretches that were given and are not taken over yet, in their order.
    given: VecDeque<Given>,
    /// Those of them, and older ones, that were read.
    read: Vec<Done<L::Seen>>,
    spare: Vec<(Vec<u8>, L::Seen)>,
    number: u64,
    /// Stretches that a thread has, or will get.
    outstanding: usize,
    /// What is known of the input at hand; `None` when it cannot be read ahead.
    plan: Option<Arc<Plan>>,
    file: Option<u32>,
    /// Where the next stretch begins: its offset and line.
    next: (u64, u64),
    /// Up to this offset there is no line end to cut at.
    uncut_to: u64,
    refused: u32,
}

impl<L: Look> Pool<L> {
    /// Starts a thread for everybody who looks.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        options: AheadOptions,
        looks: impl IntoIterator<Item = L>,
    ) -> Pool<L>
    where
        L: 'scope,
        L::Seen: 'scope,
    {
        let (tasks, receiver) = channel();
        let (sender, answers) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for look in looks {
            let (receiver, sender) = (Arc::clone(&receiver), sender.clone());
            scope.spawn(move || work(look, &receiver, &sender));
        }
        Pool {
            options,
            tasks,
            answers,
            given: VecDeque::new(),
            read: Vec::new(),
            spare: Vec::new(),
            number: 0,
            outstanding: 0,
            plan: None,
            file: None,
            next: (0, 0),
            uncut_to: 0,
            refused: 0,
        }
    }

    /// Takes back what was kept of a stretch, for another one. There must be nothing in it.
    pub fn give_back(&mut self, stretch: Stretch<L::Seen>) {
        self.spare.push((stretch.buffer, stretch.seen));
    }

    /// Forgets the stretches that begin before this offset: they were read row by row.
    fn forget_before(&mut self, offset: u64) {
        while self.given.front().is_some_and(|given| given.begin < offset) {
            self.given.pop_front();
        }
    }

    /// Cuts stretches as far as the text is in memory, or can be, and gives them to the threads.
    fn give(
        &mut self,
        plan: &Arc<Plan>,
        window: &mut Window,
        source: &mut Source,
        rows: &mut CsvRows,
        spot: &Spot,
    ) {
        let AheadOptions { stretch_bytes, behind_bytes, .. } = self.options;
        while let Ok(answer) = self.answers.try_recv() {
            self.keep(answer);
        }
        let stretches_max = self.options.stretches_max();
        // Those that were forgotten meanwhile are read all the same.
        while self.given.len() < stretches_max
            && self.outstanding < 2 * stretches_max
            && self.next.0 >= self.uncut_to
        {
            let (begin, line) = self.next;
            while window.end_offset() < begin + as_u64(stretch_bytes + behind_bytes) {
                let (moved, more) = window.fill_ahead(source, spot.pass);
                rows.moved(moved);
                if !more {
                    break;
                }
            }
            let whole = stretch_bytes + behind_bytes;
            let Some(text) = window.bytes_from(begin).and_then(|text| text.get(..whole)) else { return };
            let Some(len) = cut(&text[..stretch_bytes]) else {
                self.uncut_to = begin + as_u64(stretch_bytes);
                return;
            };
            let (until, line_behind) = (begin + as_u64(len), line + count_breaks(&text[..len]));
            let (mut buffer, seen) = self.spare.pop().unwrap_or_default();
            buffer.clear();
            buffer.extend_from_slice(&text[..len + behind_bytes]);
            let has_names_only = rows.has_names_only();
            self.number += 1;
            let number = self.number;
            let plan = Arc::clone(plan);
            let task = Task { number, plan, text: buffer, begin, until, line, has_names_only, seen };
            if self.tasks.send(task).is_err() {
                return;
            }
            self.outstanding += 1;
            self.given.push_back(Given { number, begin, until, line_behind, has_names_only });
            self.next = (until, line_behind);
        }
    }

    /// Waits until a stretch was read. `None`: the threads are gone.
    fn wait_for(&mut self, number: u64) -> Option<Done<L::Seen>> {
        self.read.retain(|done| done.number >= number);
        loop {
            if let Some(at) = self.read.iter().position(|done| done.number == number) {
                return Some(self.read.swap_remove(at));
            }
            let answer = self.answers.recv().ok()?;
            self.keep(answer);
        }
    }

    fn keep(&mut self, answer: Answer<L::Seen>) {
        self.outstanding -= 1;
        match answer {
            Ok(done) if self.given.front().is_some_and(|given| given.number > done.number) => {
                self.spare.push((done.buffer, L::Seen::default()));
            }
            Ok(done) => self.read.push(done),
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Where a stretch ends: behind a line end, and if possible behind a line that is not blank.
fn cut(text: &[u8]) -> Option<usize> {
    let mut cut = None;
    for at in memchr::memrchr_iter(b'\n', text).take(CUTS_MAX) {
        let before = text[..at].strip_suffix(b"\r").unwrap_or(&text[..at]);
        if before.last().is_some_and(|byte| *byte != b'\n') {
            return Some(at + 1);
        }
        cut = cut.or(Some(at + 1));
    }
    cut
}

fn work<L: Look>(mut look: L, tasks: &Mutex<Receiver<Task<L::Seen>>>, answers: &Sender<Answer<L::Seen>>) {
    let mut rows: Option<(Arc<Plan>, Box<CsvRows>)> = None;
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // A panic belongs to the thread that waits for this stretch; it would wait forever.
        let answer = catch_unwind(AssertUnwindSafe(|| read(&mut look, &mut rows, task)));
        let is_over = answer.is_err();
        if answers.send(answer).is_err() || is_over {
            return;
        }
    }
}

/// Reads a stretch.
fn read<L: Look>(
    look: &mut L,
    rows: &mut Option<(Arc<Plan>, Box<CsvRows>)>,
    task: Task<L::Seen>,
) -> Done<L::Seen> {
    let Task { number, plan, text, begin, until, line, has_names_only, mut seen } = task;
    let reader = match rows {
        Some((of, rows)) if Arc::ptr_eq(of, &plan) => rows,
        Some(_) | None => {
            let fresh = Box::new(CsvRows::of_stretches(&plan.layout));
            &mut rows.insert((Arc::clone(&plan), fresh)).1
        }
    };
    reader.turn_to(until, has_names_only);
    let mut window = Window::of_stretch(text, begin);
    let mut source = Source::of_stretch(plan.name.clone());
    let mut spot = Spot::of_stretch(plan.file, line);
    let (watched, bounds) = (WatchedCells::default(), &plan.bounds);
    let Plan { layout, positions, columns, .. } = plan.as_ref();
    let sheet = Sheet { layout, positions, watched: &plan.watched, columns: *columns };
    let is_read = loop {
        match reader.next(layout, &mut source, &mut window, &mut spot, bounds) {
            Ok(Step::Row { place, origin_row }) => {
                let row = Row::of_csv(reader, sheet, (place, origin_row), &watched, &plan.rules);
                look.row(&Ok(row), window.offset_of(window.start()), &mut seen);
            }
            Ok(Step::Bad(error)) => look.row(&Err(error), window.offset_of(window.start()), &mut seen),
            Ok(Step::End) => break window.offset_of(window.start()) == until,
            Err(_) => break false,
        }
    };
    let (carry, asked_for_names) = (reader.carry(), reader.asked_for_names());
    let end = is_read.then_some(End { spot, carry, asked_for_names });
    Done { number, end, seen, buffer: window.into_buffer() }
}

impl RowReader<'_> {
    /// Whether so much is left of the input at hand that reading ahead may be worth its while.
    pub fn is_worth_ahead(&self, options: AheadOptions) -> bool {
        let Some(shape) = self.inputs.shapes.get(file_index(self.spot.file)) else {
            return false;
        };
        options.threads > 1
            && self.rows.is_some()
            && matches!(shape.layout, Layout::Csv(_))
            && shape.source.bytes.saturating_sub(self.window.bytes_behind()) >= options.bytes_min
    }

    /// The rows that come next, if others have read them ahead. `None`: the next row is to be read as any other;
    /// after it one may ask again.
    pub fn next_stretch<L: Look>(&mut self, pool: &mut Pool<L>) -> Option<Stretch<L::Seen>> {
        if self.over {
            return None;
        }
        self.turn_pool(pool);
        let plan = pool.plan.clone()?;
        let Some(Rows::Csv(rows)) = &mut self.rows else { return None };
        let at = self.window.offset_of(self.window.start());
        pool.forget_before(at);
        let is_settled = rows.is_settled() && self.spot.ordinal > self.done[0];
        if pool.given.is_empty() {
            if !is_settled || at < pool.uncut_to {
                return None;
            }
            pool.next = (at, self.spot.line);
        }
        let source = &mut self.inputs.shapes[file_index(self.spot.file)].source;
        pool.give(&plan, &mut self.window, source, rows, &self.spot);
        let given = *pool.given.front().filter(|given| given.begin == at && is_settled)?;
        let done = pool.wait_for(given.number)?;
        pool.given.pop_front();
        match self.take_over(&given, done.end) {
            Some(shift) => {
                pool.refused = 0;
                let is_plain = self.inputs.shapes[file_index(self.spot.file)].source.reading.is_plain();
                let bytes_before = is_plain.then_some(self.bytes_done);
                Some(Stretch { seen: done.seen, shift, bytes_before, buffer: done.buffer })
            }
            None => {
                pool.refused += 1;
                pool.spare.push((done.buffer, L::Seen::default()));
                None
            }
        }
    }

    /// Turns the pool to the input at hand.
    fn turn_pool<L: Look>(&mut self, pool: &mut Pool<L>) {
        if pool.refused >= REFUSED_MAX {
            (pool.plan, pool.refused) = (None, 0);
            pool.given.clear();
        }
        if pool.file == Some(self.spot.file) {
            return;
        }
        pool.file = Some(self.spot.file);
        pool.given.clear();
        (pool.uncut_to, pool.refused) = (0, 0);
        let shape = self.inputs.shapes.get(file_index(self.spot.file));
        pool.plan = shape.and_then(|shape| self.plan_of(shape)).map(Arc::new);
        if pool.plan.is_some()
            && let Some(shape) = self.inputs.shapes.get_mut(file_index(self.spot.file))
        {
            shape.source.fetch_ahead();
        }
    }

    /// What readers of stretches need to know, where their rows hang on nothing else.
    fn plan_of(&self, shape: &Shape) -> Option<Plan> {
        let Layout::Csv(layout) = &shape.layout else { return None };
        // Where paths lead is kept for all rows together.
        if !layout.nested.is_empty() || shape.watched.iter().any(|at| at.is_path) {
            return None;
        }
        Some(Plan {
            name: shape.source.name.clone(),
            file: self.spot.file,
            layout: Arc::clone(layout),
            positions: shape.positions.clone(),
            watched: shape.watched.clone(),
            columns: self.inputs.columns().len(),
            rules: Arc::clone(&self.inputs.rules),
            bounds: self.inputs.bounds,
        })
    }

    /// Goes behind a stretch, if it was read as it would be here. Returns what is missing in its ordinals.
    fn take_over(&mut self, given: &Given, end: Option<End>) -> Option<u64> {
        let End { spot, carry, asked_for_names } = end?;
        let Some(Rows::Csv(rows)) = &mut self.rows else { return None };
        let guessed_wrong = asked_for_names && rows.has_names_only() != given.has_names_only;
        let until = usize::try_from(given.until.checked_sub(self.window.offset_of(0))?).ok()?;
        if spot.line != given.line_behind || guessed_wrong || self.window.has_suspect_before(given.until) {
            return None;
        }
        self.window.consume_to(until);
        rows.go_on_from(carry);
        let shift = self.spot.ordinal - Spot::ORDINAL_BEFORE;
        self.spot.line = spot.line;
        self.spot.ordinal = spot.ordinal + shift;
        self.spot.blank_rows += spot.blank_rows;
        self.spot.footer_rows += spot.footer_rows;
        self.spot.header_rows += spot.header_rows;
        Some(shift)
    }
}
