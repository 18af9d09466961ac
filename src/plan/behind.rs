//! Who takes what a subject gives up whose update is held while it is in doubt: sent, it would be refused for the sake
//! of the one that waits. It waits, too, and so does whoever takes what it gives up itself.
//!
//! A walk over the links. Not here: how they come together (`links.rs`), the order of the others (`chain.rs`).

use std::collections::BTreeMap;

use super::chain::Link;

/// Takes the links out that begin or end with a node that is held, or with one that waits for such a one. Tells the
/// nodes that wait, each with the one that it waits for.
pub(super) fn take_behind(links: &mut Vec<Link>, is_held: impl Fn(u64) -> bool) -> BTreeMap<u64, u64> {
    links.sort_unstable();
    let mut waiting = BTreeMap::new();
    let mut reached: Vec<u64> = links.iter().map(|link| link.before).collect();
    reached.dedup();
    reached.retain(|node| is_held(*node));
    let held = reached.clone();
    while let Some(node) = reached.pop() {
        let first = links.partition_point(|link| link.before < node);
        for link in links[first..].iter().take_while(|link| link.before == node) {
            let is_new = held.binary_search(&link.after).is_err() && !waiting.contains_key(&link.after);
            if is_new {
                waiting.insert(link.after, node);
                reached.push(link.after);
            }
        }
    }
    let is_out = |node: &u64| held.binary_search(node).is_ok() || waiting.contains_key(node);
    links.retain(|link| !is_out(&link.before) && !is_out(&link.after));
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::FieldKind;

    #[test]
    fn all_that_hangs_on_a_held_one_waits_and_the_rest_keeps_its_links() {
        let link = |(before, after)| Link { before, after, kind: FieldKind::Imsi, is_uncertain: false };
        // 5 is held: 4 takes what it gives up, 3 what 4 does, and so does 1, which swaps with 2. Then 6 waits for
        // nobody but 7, and 5 itself takes what 8 gives up.
        let pairs = [(7, 6), (5, 4), (4, 3), (1, 2), (2, 1), (4, 1), (8, 5), (8, 3)];
        let mut links: Vec<Link> = pairs.into_iter().map(link).collect();
        let waiting = take_behind(&mut links, |node| node == 5);
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), [(1, 4), (2, 1), (3, 4), (4, 5)]);
        assert_eq!(links, [link((7, 6))]);
        let all: Vec<Link> = pairs.into_iter().map(link).collect();
        let mut links = all.clone();
        assert!(take_behind(&mut links, |_| false).is_empty() && links.len() == all.len());
    }
}
