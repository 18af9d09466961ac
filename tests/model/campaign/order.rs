//! Release before assign on the wire: nobody takes a value before whoever gives it up was sent, or was cleared of it.
//!
//! Not here: who has to wait for whom (`swaps.rs`).

use simsync::sandbox::RequestView;

use super::rows::Field;
use super::rulings::Plan;
use super::swaps::First;

/// Holds the requests of a run against the order of its plan. Where the server refused a value that another one holds,
/// later passes have an order of their own.
pub(crate) fn check(plan: &Plan, requests: &[RequestView]) -> Result<(), String> {
    if requests.iter().any(|request| request.fault == Some("uniqueness")) {
        return Ok(());
    }
    for First { before, after, is_clear } in &plan.firsts {
        let of = |subject: &String| {
            let own = requests.iter().filter(|request| request.subject.as_ref() == Some(subject));
            own.collect::<Vec<&RequestView>>()
        };
        let may_be_clear = plan.updates.iter().any(|update| update.is_clear && update.subject == *before);
        let mut freeing = of(before);
        freeing.retain(|request| !may_be_clear || is_cleared_by(request) == *is_clear);
        let mut taking = of(after);
        if plan.updates.iter().any(|update| update.is_clear && update.subject == *after) {
            taking.retain(|request| !is_cleared_by(request));
        }
        let Some(taken) = taking.first() else { continue };
        if freeing.last().is_none_or(|freed| freed.seq > taken.seq) {
            return Err(format!("{after} was sent by request {} before {before}: {freeing:?}", taken.seq));
        }
    }
    Ok(())
}

/// Whether a request does nothing but clear what others may not have beside it.
fn is_cleared_by(request: &RequestView) -> bool {
    let others = request.fields.iter().filter(|(name, _)| **name != Field::Key.kind().name());
    let is_unique = |name: &String| Field::UNIQUE.iter().any(|field| field.kind().name() == name);
    others.clone().all(|(name, value)| value.is_none() && is_unique(name)) && others.count() > 0
}
