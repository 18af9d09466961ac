//! The reading of the survey: rows are judged here or on other threads, and gathered and told here, in their order.
//!
//! Not here: the judgement (`survey.rs`), what is kept of it meanwhile (`batch.rs`), the reading ahead
//! (`input/ahead.rs`).

use std::thread;

use crate::engine::signals::Signals;
use crate::event::{Breach, Event};
use crate::input::{AheadOptions, Inputs, Pass, Pool, RowReader, SourceError, Stretch};

use super::batch::{Batch, Fate, Helper};
use super::gather::Gather;
use super::{Emitter, Judge, SurveyError, Watch};

/// Rows between two looks for a signal.
pub(super) const SIGNAL_ROWS: u64 = 256;

/// Rows between two progress events.
pub(super) const PROGRESS_ROWS: u64 = 4_096;

/// Rows that are judged here before they are gathered.
const BATCH_ROWS: usize = 256;

/// How rows are read.
pub(super) enum Reading<'w, 'x> {
    /// On several threads, where that is worth its while.
    Ahead(AheadOptions),
    /// On this one, with somebody who looks at every row.
    Watched(&'w mut Watch<'x>),
}

/// Who gathers rows and tells of them.
pub(super) struct Collector<'c, 'e> {
    pub(super) gather: Gather,
    pub(super) bytes_total: u64,
    pub(super) emitter: &'c mut Emitter<'e>,
    pub(super) signals: &'c Signals,
}

/// Reads all rows.
///
/// # Errors
/// What stops the run.
pub(super) fn read_all(
    inputs: &mut Inputs,
    judge: &mut Judge<'_>,
    mut collector: Collector<'_, '_>,
    mut reading: Reading<'_, '_>,
) -> Result<Gather, SurveyError> {
    let mut reader = inputs.read(Pass::Survey);
    let mut batch = Batch::default();
    thread::scope(|scope| {
        let mut pool: Option<Pool<Helper<'_>>> = None;
        loop {
            if let Some(pool) = &mut pool {
                collector.take_stretches(&mut reader, pool, judge, &mut batch)?;
            }
            if !collector.next_row(&mut reader, judge, &mut batch, &mut reading)? {
                return Ok::<_, SurveyError>(());
            }
            let is_watched = matches!(reading, Reading::Watched(_));
            if !is_watched && batch.text_ends.len() < BATCH_ROWS {
                continue;
            }
            collector.take_own(&mut batch, judge)?;
            if let (Reading::Ahead(options), None) = (&reading, &pool)
                && judge.is_settled()
                && reader.is_worth_ahead(*options)
            {
                let helpers = (0..options.threads).map(|_| Helper(judge.helper()));
                pool = Some(Pool::start(scope, *options, helpers));
            }
        }
    })?;
    collector.finish(&reader)
}

impl Collector<'_, '_> {
    /// Reads a row and judges it here. `false`: there is none.
    fn next_row(
        &mut self,
        reader: &mut RowReader<'_>,
        judge: &mut Judge<'_>,
        batch: &mut Batch,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, SurveyError> {
        let row = match reader.next_row() {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.take_own(batch, judge)?;
                return Ok(false);
            }
            Err(error) => {
                self.take_own(batch, judge)?;
                return Err(self.failed(error));
            }
        };
        let judged = batch.judge(judge, &row, 0);
        if let Reading::Watched(watch) = reading {
            watch(&row, judged, judge);
        }
        let bytes = reader.bytes_read();
        if let Some(text_end) = batch.text_ends.last_mut() {
            *text_end = bytes;
        }
        Ok(true)
    }

    fn failed(&mut self, error: SourceError) -> SurveyError {
        // The books say how far the reading came.
        let (rows, bytes_total) = (self.gather.rows(), self.bytes_total);
        self.emitter.emit(Event::Progressed { rows, bytes: 0, bytes_total });
        SurveyError::Source(error)
    }

    /// Takes the rows that others have read and judged, as far as they come next.
    fn take_stretches<'j>(
        &mut self,
        reader: &mut RowReader<'_>,
        pool: &mut Pool<Helper<'j>>,
        judge: &mut Judge<'_>,
        batch: &mut Batch,
    ) -> Result<(), SurveyError> {
        while let Some(mut stretch) = reader.next_stretch(pool) {
            self.take_own(batch, judge)?;
            let Stretch { shift, bytes_before, .. } = stretch;
            let after = reader.bytes_read();
            let bytes = |text_end| bytes_before.map_or(after, |before| before + text_end);
            self.take(&mut stretch.seen, judge, shift, bytes)?;
            pool.give_back(stretch);
        }
        Ok(())
    }

    /// Takes rows that were judged here.
    fn take_own(&mut self, batch: &mut Batch, judge: &mut Judge<'_>) -> Result<(), SurveyError> {
        self.take(batch, judge, 0, |bytes| bytes)
    }

    /// Takes rows whose ordinals are `shift` lower than they should be, and leaves nothing of them. `bytes` are those
    /// of the inputs that are behind a row.
    fn take(
        &mut self,
        batch: &mut Batch,
        judge: &mut Judge<'_>,
        shift: u64,
        bytes: impl Fn(u64) -> u64,
    ) -> Result<(), SurveyError> {
        let at_ms = self.emitter.clock().now_ms();
        let (mut told_from, mut also_from) = (0, 0);
        let (mut from, rows) = (batch.first_ordinal + shift, batch.text_ends.len() as u64);
        let end = from + rows;
        let mut noted = batch.noted.iter().peekable();
        judge.columns.take(&mut batch.columns, shift);
        while from < end {
            // To where a look at the progress is due, so that it falls between the same rows however they came.
            let last = from.next_multiple_of(SIGNAL_ROWS).min(end - 1);
            assert_eq!(from, self.gather.rows() + 1, "rows are gathered in file order, none passed over");
            self.gather.take(&mut batch.staged, shift, last)?;
            while let Some(noted) = noted.next_if(|noted| noted.place.ordinal + shift <= last) {
                let mut place = noted.place;
                place.ordinal += shift;
                match noted.fate {
                    Fate::Filtered => {
                        self.gather.was_filtered(place.ordinal);
                        self.emitter.emit_at(at_ms, Event::RowFiltered { place });
                    }
                    Fate::Rejected(Breach { code, field }) => {
                        let also = batch.also[also_from..noted.told_to].to_vec();
                        also_from = noted.told_to;
                        self.emitter.emit_at(at_ms, Event::RowRejected { place, code, field, also });
                    }
                    Fate::Valid => {
                        for told in &batch.told[told_from..noted.told_to] {
                            let (code, warning, field) = (told.code, told.warning, told.field);
                            self.emitter.emit_at(at_ms, Event::RuleApplied { place, code, warning, field });
                        }
                        told_from = noted.told_to;
                    }
                }
            }
            if last.is_multiple_of(SIGNAL_ROWS) {
                let behind = usize::try_from(end - 1 - last).unwrap_or(usize::MAX);
                self.tell_progress(last, bytes(batch.text_ends[batch.text_ends.len() - 1 - behind]))?;
            }
            from = last + 1;
        }
        batch.clear();
        Ok(())
    }

    /// Looks for a signal, and tells now and then how far the reading came.
    fn tell_progress(&mut self, ordinal: u64, bytes: u64) -> Result<(), SurveyError> {
        let bytes_total = self.bytes_total;
        let progressed = Event::Progressed { rows: ordinal, bytes, bytes_total };
        if let Some(stop) = self.signals.seen() {
            self.emitter.emit(progressed);
            return Err(SurveyError::Stopped(stop));
        }
        if ordinal.is_multiple_of(PROGRESS_ROWS) {
            self.emitter.emit(progressed);
            if let Some(text) = self.gather.progressed(bytes, bytes_total) {
                self.emitter.emit(Event::Noticed { text });
            }
        }
        Ok(())
    }

    /// Everything was read.
    fn finish(self, reader: &RowReader<'_>) -> Result<Gather, SurveyError> {
        let (rows, bytes, bytes_total) = (self.gather.rows(), reader.bytes_read(), self.bytes_total);
        self.emitter.emit(Event::Progressed { rows, bytes, bytes_total });
        let (blank, footer, header) = (reader.blank_rows(), reader.footer_rows(), reader.header_rows());
        if blank + footer + header > 0 {
            self.emitter.emit(Event::LinesSkipped { blank, footer, header });
        }
        Ok(self.gather)
    }
}
