//! In which wave each update of chains and rings is sent: chains link by link, and the rings that are broken so many
//! at a time, each time a wave of clears and the waves of what follows them. Those that are linked with each other
//! keep to that order; how many are open at once, wherever a run is stopped, is up to who sends them.
//!
//! Not here: who waits for whom and who is cleared (`chain.rs`, `cycle.rs`), and when each has its turn
//! (`deliver/later.rs`).

use std::cmp::Reverse;
use std::collections::HashMap;

use super::chain::Graph;

/// Rings that are begun and not finished at a time, at most: as many subjects are cleared and have no update yet.
pub const RINGS_OPEN_MAX: usize = 64;

/// The waves, from 1.
pub(super) struct Waves {
    /// By node; 0 for those that wait for nobody.
    pub(super) of: Vec<u32>,
    /// Of the clear of a ring that is broken, by the ring's component.
    pub(super) clears: HashMap<usize, u32>,
}

/// Finds the waves. Links that are kept form no ring; of a ring that is broken those from the node that is cleared
/// are not kept. `cleared` names that node by component; a component comes before those that lead to it, as
/// `component` numbers them.
pub(super) fn waves(
    graph: &Graph,
    component: &[usize],
    cleared: &HashMap<usize, usize>,
    is_kept: &impl Fn(usize, usize) -> bool,
) -> Waves {
    let is_ring = |node: usize| cleared.contains_key(&component[node]);
    let rounds = rounds(graph, component, &is_ring, is_kept);
    let round = |node: usize| rounds[component[node]];
    // Within a ring, or among the others of a round.
    let is_near = |from: usize, to: usize| {
        let is_same = if is_ring(from) || is_ring(to) {
            component[from] == component[to]
        } else {
            round(from) == round(to)
        };
        is_same && is_kept(from, to)
    };
    let mut depths = graph.depths(&is_near);
    // Only what waits for nobody at all is sent before all waves.
    let waits = |node: usize| is_ring(node) || round(node) > 0;
    depths.iter_mut().enumerate().filter(|(node, _)| waits(*node)).for_each(|(_, depth)| *depth += 1);
    let mut lengths: HashMap<usize, u32> = HashMap::new();
    let mut chains = vec![0_u32; rounds.iter().max().map_or(0, |last| last + 1)];
    for (node, depth) in depths.iter().enumerate() {
        let longest = if is_ring(node) {
            lengths.entry(component[node]).or_default()
        } else {
            &mut chains[round(node)]
        };
        *longest = (*depth).max(*longest);
    }
    // Rings of one length together, so that a group is not kept waiting by one of its rings; then in the order of the
    // rows.
    let mut rings: Vec<(usize, u32, usize)> =
        lengths.iter().map(|(of, length)| (rounds[*of], *length, *of)).collect();
    rings.sort_unstable_by_key(|(round, length, of)| (*round, *length, *of));
    let (mut last, mut chains_from, mut clears) = (0, Vec::new(), HashMap::new());
    for (at, length) in chains.iter().enumerate() {
        chains_from.push(last);
        last += length;
        let first = rings.partition_point(|(round, _, _)| *round < at);
        let behind = rings.partition_point(|(round, _, _)| *round <= at);
        for group in rings[first..behind].chunks(RINGS_OPEN_MAX) {
            last += 1;
            clears.extend(group.iter().map(|(_, _, of)| (*of, last)));
            last += group.iter().map(|(_, length, _)| *length).max().unwrap_or_default();
        }
    }
    let wave = |(node, depth): (usize, &u32)| match (depth, clears.get(&component[node])) {
        (0, _) => 0,
        (depth, Some(clear)) => clear + depth,
        (depth, None) => chains_from[round(node)] + depth,
    };
    let of = depths.iter().enumerate().map(wave).collect();
    Waves { of, clears }
}

/// By component, how many rings that are broken lie one behind the other on the way that leads to it.
fn rounds(
    graph: &Graph,
    component: &[usize],
    is_ring: &impl Fn(usize) -> bool,
    is_kept: &impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let mut rounds = vec![0; component.iter().max().map_or(0, |last| last + 1)];
    let mut nodes: Vec<usize> = (0..component.len()).collect();
    nodes.sort_unstable_by_key(|node| Reverse(component[*node]));
    for from in nodes {
        let behind = rounds[component[from]] + usize::from(is_ring(from));
        for to in graph.targets(from).iter().copied().filter(|to| is_kept(from, *to)) {
            if component[to] != component[from] {
                rounds[component[to]] = behind.max(rounds[component[to]]);
            }
        }
    }
    rounds
}
