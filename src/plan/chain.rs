//! The order of updates of which one takes what another gives up: release before assign, and the rings in which
//! nobody can be first (field-rules 6.4).
//!
//! A graph over the rows that carry the updates. Not here: how it comes together (`links.rs`), sending (`deliver/`).

use std::collections::{BTreeSet, HashMap};

use super::cycle::{Breaking, CANDIDATES_MAX, Clearing, Members, Obstacle, clearing};
use super::waves::waves;
use crate::event::ChainFacts;
use crate::ledger::ClearedFirst;
use crate::update::{FieldKind, FieldSet};

/// Pairs of subjects of which the order is found, unless set otherwise.
pub const CHAIN_LINKS_MAX_DEFAULT: usize = 1_000_000;

/// True swaps that are listed; the rest is counted.
pub const SWAPS_LISTED_MAX: usize = 100;

/// Rows that are listed of a swap; the rest is counted.
const SWAP_ORDINALS_MAX: usize = CANDIDATES_MAX;

/// Subjects that swap among each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Ordinals of the rows that carry their updates, ascending, at most 10.
    pub ordinals: Vec<u64>,
    /// Subjects in it.
    pub subjects: u64,
    /// Whom clearing breaks it; `None` when it is not broken.
    pub clearing: Option<Clearing>,
    /// Why it is not broken although it was asked for.
    pub obstacle: Option<Obstacle>,
}

/// What the plan keeps of chains and swaps.
#[derive(Debug, Default)]
pub(super) struct Chains {
    pub(super) facts: ChainFacts,
    pub(super) swaps: Vec<Swap>,
    /// Updates that wait and clears, wave by wave.
    pub(super) waves: Vec<u64>,
    /// Waves of clears, each of which begins rings.
    pub(super) clear_waves: BTreeSet<u32>,
    /// Rows that carry updates of subjects which were cleared before, to break a swap, and of what they are given now.
    pub(super) cleared_before: Vec<(u64, ClearedFirst)>,
    /// The last rows of such subjects, and what they are not given.
    pub(super) cleared_still: Vec<(u64, ClearedFirst)>,
}

/// A link: a node gives up what another takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// Sent first.
    pub(super) before: u64,
    /// Sent when the other is settled.
    pub(super) after: u64,
    /// What the one gives up and the other takes.
    pub(super) kind: FieldKind,
    /// Whether the first one may no longer hold what the other takes. Such a link orders, and nobody is held back for
    /// it.
    pub(super) is_uncertain: bool,
}

/// A node that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) node: u64,
    /// When it is sent, from 1.
    pub(super) wave: u32,
    /// Of those it waits for, one that is sent last; 0 when it waits for nothing but a clear.
    pub(super) waits_for: u64,
    /// All that are linked with each other have one number, from 1.
    pub(super) group: u32,
    /// Of a ring that is broken, its place among the rings, from 1; 0 for none.
    pub(super) ring: u32,
}

/// Subjects of which each takes what the next one gives up, in a ring or in several that hang together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ring {
    /// Ascending.
    pub(super) nodes: Vec<u64>,
    /// The node that is cleared first, and of what; the others are in order then.
    pub(super) clearing: Option<(u64, FieldSet)>,
    /// With it, the wave of that clear.
    pub(super) clear_wave: u32,
    /// Why nobody is, where it was asked for.
    pub(super) obstacle: Option<Obstacle>,
}

/// Who waits for how many others in a row, and who is in a ring.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Nodes that wait, ascending, with their waves from 1.
    pub(super) waves: Vec<Waiting>,
    /// Rings, in the order of their first nodes.
    pub(super) rings: Vec<Ring>,
    /// Nodes linked with each other in whatever way are one chain.
    pub(super) chains: u64,
    /// Nodes of the longest.
    pub(super) longest: u64,
}

/// Finds the order. Of a ring that is held back nobody waits for anybody, nor does anybody wait for it; of one that
/// is sent nobody waits for another of the ring. One that is broken has an order, which begins a wave later: the
/// clear goes first, in a wave of its own.
pub(super) fn order(mut links: Vec<Link>, holds_rings: bool, breaking: Breaking) -> Order {
    links.sort_unstable();
    // Of two links of a pair about one field the certain one stands first.
    links.dedup_by_key(|link| (link.before, link.after, link.kind));
    drop_uncertain_rings(&mut links, breaking);
    let nodes = nodes_of(&links);
    let graph = Graph::new(&nodes, &links);
    drop(links);
    let (component, sizes) = graph.components();
    let (mut rings, cleared) = rings(&graph, &nodes, (&component, &sizes), breaking);
    let is_held =
        |node: usize| holds_rings && sizes[component[node]] > 1 && !cleared.contains_key(&component[node]);
    let is_kept = |from: usize, to: usize| {
        if component[from] == component[to] {
            cleared.get(&component[from]).is_some_and(|cleared| *cleared != from)
        } else {
            !is_held(from) && !is_held(to)
        }
    };
    let waves = waves(&graph, &component, &cleared, &is_kept);
    for ring in rings.iter_mut().filter(|ring| ring.clearing.is_some()) {
        // Every node of a ring is one of the graph.
        let of = ring.nodes.first().and_then(|node| nodes.binary_search(node).ok()).map(|at| component[at]);
        ring.clear_wave = of.and_then(|of| waves.clears.get(&of).copied()).unwrap_or_default();
    }
    let mut order = Order { rings, ..Order::default() };
    let mut ring_of: HashMap<usize, u32> = HashMap::new();
    for (ring, number) in order.rings.iter().zip(1_u32..).filter(|(ring, _)| ring.clearing.is_some()) {
        let at = ring.nodes.first().and_then(|node| nodes.binary_search(node).ok());
        ring_of.extend(at.map(|at| (component[at], number)));
    }
    let (chains, mut leader) = graph.groups(&is_kept);
    order.chains = chains;
    let deepest = graph.depths(&is_kept).into_iter().max();
    order.longest = deepest.filter(|depth| *depth > 0).map_or(0, |depth| u64::from(depth) + 1);
    // Of those it waits for, the one that is sent last.
    let mut behind: Vec<Option<(u32, usize)>> = vec![None; nodes.len()];
    for (from, to) in graph.links().filter(|(from, to)| is_kept(*from, *to)) {
        behind[to] = behind[to].max(Some((waves.of[from], from)));
    }
    let waiting = (0..nodes.len()).filter(|at| waves.of[*at] > 0);
    let waiting = waiting.map(|at| Waiting {
        node: nodes[at],
        wave: waves.of[at],
        waits_for: behind[at].map_or(0, |(_, at)| nodes[at]),
        group: u32::try_from(leader_of(&mut leader, at) + 1).unwrap_or(u32::MAX),
        ring: ring_of.get(&component[at]).copied().unwrap_or_default(),
    });
    order.waves = waiting.collect();
    order
}

/// The ends of links, ascending.
fn nodes_of(links: &[Link]) -> Vec<u64> {
    let mut nodes: Vec<u64> = links.iter().flat_map(|link| [link.before, link.after]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// Drops uncertain links that belong to a ring: it may be none, and whoever is held back for it would be so for
/// nothing. A ring that is broken keeps them, for its order is right whoever holds what: a clear in doubt is made
/// again.
fn drop_uncertain_rings(links: &mut Vec<Link>, breaking: Breaking) {
    if !links.iter().any(|link| link.is_uncertain) {
        return;
    }
    let nodes = nodes_of(links);
    let graph = Graph::new(&nodes, links);
    let (component, sizes) = graph.components();
    let (_, cleared) = rings(&graph, &nodes, (&component, &sizes), breaking);
    // Every end of a link is a node.
    let component_of = |node: u64| component[nodes.binary_search(&node).unwrap_or_default()];
    links.retain(|link| {
        let of = component_of(link.before);
        !link.is_uncertain || of != component_of(link.after) || cleared.contains_key(&of)
    });
}

/// The rings, and of those that are broken the node that is cleared, by component.
fn rings(
    graph: &Graph,
    nodes: &[u64],
    (component, sizes): (&[usize], &[u32]),
    breaking: Breaking,
) -> (Vec<Ring>, HashMap<usize, usize>) {
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (node, of) in component.iter().enumerate().filter(|(_, of)| sizes[**of] > 1) {
        let place = *places.entry(*of).or_insert(members.len());
        if place == members.len() {
            members.push(Vec::new());
        }
        members[place].push(node);
    }
    let mut cleared = HashMap::new();
    let rings = members.iter().map(|members| {
        let mut ring = Ring { nodes: members.iter().map(|node| nodes[*node]).collect(), ..Ring::default() };
        match clearing(&graph.within(members), breaking) {
            Ok((at, fields)) => {
                ring.clearing = Some((ring.nodes[at], fields));
                cleared.insert(component[members[at]], members[at]);
            }
            Err(obstacle) => ring.obstacle = obstacle,
        }
        ring
    });
    let rings = rings.collect();
    (rings, cleared)
}

impl Swap {
    /// Of a ring, whose nodes stand for the rows that carry the updates.
    pub(super) fn of(ring: &Ring, ordinal_of: fn(u64) -> u64) -> Swap {
        Swap {
            ordinals: ring.nodes.iter().map(|node| ordinal_of(*node)).take(SWAP_ORDINALS_MAX).collect(),
            subjects: ring.nodes.len() as u64,
            clearing: ring.clearing.map(|(node, fields)| Clearing { ordinal: ordinal_of(node), fields }),
            obstacle: ring.obstacle,
        }
    }
}

/// Links by the place of the node that they begin at.
pub(super) struct Graph {
    begins: Vec<usize>,
    targets: Vec<usize>,
    /// What each link is about.
    kinds: Vec<FieldKind>,
}

impl Graph {
    /// Of sorted nodes and links.
    fn new(nodes: &[u64], links: &[Link]) -> Graph {
        let mut begins = Vec::with_capacity(nodes.len() + 1);
        let mut targets = Vec::with_capacity(links.len());
        for node in nodes {
            begins.push(targets.len());
            let own = links[targets.len()..].iter().take_while(|link| link.before == *node);
            // Every end of a link is a node.
            targets.extend(own.map(|link| nodes.binary_search(&link.after).unwrap_or_default()));
        }
        begins.push(targets.len());
        Graph { begins, targets, kinds: links.iter().map(|link| link.kind).collect() }
    }

    /// The links among these nodes, ascending, which go by their places there.
    fn within(&self, nodes: &[usize]) -> Members {
        let links = |node: &usize| {
            let all = self.begins[*node]..self.begins[*node + 1];
            let inner =
                all.filter_map(|at| Some((nodes.binary_search(&self.targets[at]).ok()?, self.kinds[at])));
            inner.collect()
        };
        nodes.iter().map(links).collect()
    }

    fn len(&self) -> usize {
        self.begins.len() - 1
    }

    pub(super) fn targets(&self, node: usize) -> &[usize] {
        &self.targets[self.begins[node]..self.begins[node + 1]]
    }

    fn links(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.len()).flat_map(|from| self.targets(from).iter().map(move |to| (from, *to)))
    }

    /// The strongly connected component of each node and how many nodes each has (Tarjan 1972, with a stack of its
    /// own: a chain may be as long as the bound).
    fn components(&self) -> (Vec<usize>, Vec<u32>) {
        const UNSEEN: usize = usize::MAX;
        let mut component = vec![UNSEEN; self.len()];
        let (mut index, mut low) = (vec![UNSEEN; self.len()], vec![0; self.len()]);
        let (mut sizes, mut open) = (Vec::new(), Vec::new());
        let mut next = 0;
        // A node on the way, and how many of its links were followed.
        let mut way: Vec<(usize, usize)> = Vec::new();
        for root in 0..self.len() {
            if index[root] == UNSEEN {
                way.push((root, 0));
            }
            while let Some((node, followed)) = way.pop() {
                if followed == 0 {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    open.push(node);
                } else {
                    let child = self.targets(node)[followed - 1];
                    if component[child] == UNSEEN {
                        low[node] = low[node].min(low[child]);
                    }
                }
                if let Some(child) = self.targets(node).get(followed).copied() {
                    way.push((node, followed + 1));
                    if index[child] == UNSEEN {
                        way.push((child, 0));
                    } else if component[child] == UNSEEN {
                        low[node] = low[node].min(index[child]);
                    }
                    continue;
                }
                if low[node] == index[node] {
                    let mut size = 0;
                    while let Some(member) = open.pop() {
                        component[member] = sizes.len();
                        size += 1;
                        if member == node {
                            break;
                        }
                    }
                    sizes.push(size);
                }
            }
        }
        (component, sizes)
    }

    /// Of every node the length of the longest way that leads to it over the links that are kept, which form no ring.
    pub(super) fn depths(&self, is_kept: &impl Fn(usize, usize) -> bool) -> Vec<u32> {
        let mut waiting_for = vec![0_u32; self.len()];
        for (_, to) in self.links().filter(|(from, to)| is_kept(*from, *to)) {
            waiting_for[to] += 1;
        }
        let mut depths = vec![0; self.len()];
        let mut free: Vec<usize> = (0..self.len()).filter(|node| waiting_for[*node] == 0).collect();
        while let Some(node) = free.pop() {
            for to in self.targets(node).iter().copied().filter(|to| is_kept(node, *to)) {
                depths[to] = depths[to].max(depths[node] + 1);
                waiting_for[to] -= 1;
                if waiting_for[to] == 0 {
                    free.push(to);
                }
            }
        }
        depths
    }

    /// How many groups the links that are kept make, and from every node a way to the leader of its group.
    fn groups(&self, is_kept: &impl Fn(usize, usize) -> bool) -> (u64, Vec<usize>) {
        let mut leader: Vec<usize> = (0..self.len()).collect();
        let mut groups = 0;
        let mut is_linked = vec![false; self.len()];
        for (from, to) in self.links().filter(|(from, to)| is_kept(*from, *to)) {
            for node in [from, to] {
                if !is_linked[node] {
                    is_linked[node] = true;
                    groups += 1;
                }
            }
            let (one, other) = (leader_of(&mut leader, from), leader_of(&mut leader, to));
            if one != other {
                leader[one] = other;
                groups -= 1;
            }
        }
        (groups, leader)
    }
}

fn leader_of(leader: &mut [usize], mut node: usize) -> usize {
    while leader[node] != node {
        // Halving the way keeps it short for the next who asks.
        leader[node] = leader[leader[node]];
        node = leader[node];
    }
    node
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn links(pairs: &[(u64, u64)]) -> Vec<Link> {
        let link = |&(before, after)| Link { before, after, kind: FieldKind::Imsi, is_uncertain: false };
        pairs.iter().map(link).collect()
    }

    /// The waves of those that wait.
    fn waves(order: &Order) -> Vec<(u64, u32)> {
        order.waves.iter().map(|waiting| (waiting.node, waiting.wave)).collect()
    }

    fn ring_nodes(order: &Order) -> Vec<Vec<u64>> {
        order.rings.iter().map(|ring| ring.nodes.clone()).collect()
    }

    #[test]
    fn a_ring_that_is_broken_is_a_chain_that_ends_with_whoever_was_cleared() {
        let imsi = FieldSet::only(FieldKind::Imsi);
        // 1 gives up to 2, 2 to 3, 3 to 1; 9 gives up to 2 as well, and 4 takes what 3 gives up elsewhere.
        let pairs = [(1, 2), (2, 3), (3, 1), (9, 2), (3, 4), (7, 8), (8, 7)];
        let order = order(links(&pairs), true, Breaking::Clearing(imsi));
        // The shorter ring first in its group; the clears are a wave before, and what hangs on a ring comes behind it.
        assert_eq!(waves(&order), [(1, 4), (2, 2), (3, 3), (4, 5), (7, 3), (8, 2)]);
        assert_eq!(order.rings.iter().map(|ring| ring.clear_wave).collect::<Vec<_>>(), [1, 1]);
        let cleared: Vec<_> = order.rings.iter().map(|ring| ring.clearing).collect();
        assert_eq!(cleared, [Some((1, imsi)), Some((7, imsi))]);
        assert_eq!(order.longest, 4);
    }

    #[test]
    fn few_rings_are_open_at_a_time_and_the_next_ones_begin_when_they_are_finished() {
        let imsi = FieldSet::only(FieldKind::Imsi);
        let pairs: Vec<(u64, u64)> =
            (0..150).flat_map(|ring| [(2 * ring, 2 * ring + 1), (2 * ring + 1, 2 * ring)]).collect();
        let order = order(links(&pairs), true, Breaking::Clearing(imsi));
        let waves: HashMap<u64, u32> = waves(&order).into_iter().collect();
        let begun: Vec<(u32, u32)> =
            order.rings.iter().map(|ring| (ring.clear_wave, waves[&ring.clearing.unwrap().0])).collect();
        for at in 0..=10 {
            let open = begun.iter().filter(|(clear, last)| (*clear..*last).contains(&at)).count();
            assert!(open <= crate::plan::waves::RINGS_OPEN_MAX, "{open} in wave {at}");
        }
        assert_eq!((begun[0], begun[149]), ((1, 3), (7, 9)));
    }

    #[test]
    fn a_chain_waits_link_by_link_and_a_ring_has_no_order() {
        let chain = order(links(&[(3, 2), (2, 1), (9, 8)]), true, Breaking::Never);
        assert_eq!(waves(&chain), [(1, 2), (2, 1), (8, 1)]);
        assert_eq!((chain.chains, chain.longest, chain.rings.len()), (2, 3, 0));
        let ring = order(links(&[(1, 2), (2, 3), (3, 1), (5, 4), (4, 5)]), true, Breaking::Never);
        assert_eq!(ring_nodes(&ring), [vec![1, 2, 3], vec![4, 5]]);
        assert_eq!((ring.waves.len(), ring.chains, ring.longest), (0, 0, 0));
    }

    #[test]
    fn who_waits_for_a_ring_waits_only_where_the_ring_is_sent() {
        let pairs = [(1, 2), (2, 1), (2, 3), (3, 4), (9, 1)];
        let held = order(links(&pairs), true, Breaking::Never);
        assert_eq!((waves(&held), held.chains, held.longest), (vec![(4, 1)], 1, 2));
        let sent = order(links(&pairs), false, Breaking::Never);
        assert_eq!(waves(&sent), [(1, 1), (3, 1), (4, 2)]);
        assert_eq!(ring_nodes(&sent), [vec![1, 2]]);
    }

    #[test]
    fn the_longest_of_several_ways_counts_and_a_long_chain_needs_no_deep_stack() {
        let order = order(links(&[(1, 4), (1, 2), (2, 3), (3, 4)]), true, Breaking::Never);
        assert_eq!(waves(&order), [(2, 1), (3, 2), (4, 3)]);
        let long: Vec<(u64, u64)> = (0..300_000).map(|node| (node + 1, node)).collect();
        assert_eq!(super::order(links(&long), true, Breaking::Never).longest, 300_001);
    }

    #[test]
    fn of_several_it_waits_for_it_is_behind_one_that_is_sent_last() {
        let order = order(links(&[(1, 4), (1, 2), (2, 3), (3, 4), (9, 4)]), true, Breaking::Never);
        let behind: Vec<(u64, u64)> = order.waves.iter().map(|of| (of.node, of.waits_for)).collect();
        assert_eq!(behind, [(2, 1), (3, 2), (4, 3)]);
    }

    #[test]
    fn an_uncertain_link_orders_and_closes_no_ring() {
        let uncertain = |before, after| Link { before, after, kind: FieldKind::Imsi, is_uncertain: true };
        let open = order(vec![uncertain(1, 2), uncertain(2, 3)], true, Breaking::Never);
        assert_eq!((waves(&open), open.rings.len()), (vec![(2, 1), (3, 2)], 0));
        // Told twice, it is certain.
        let twice = order([links(&[(1, 2), (2, 1)]), vec![uncertain(1, 2)]].concat(), true, Breaking::Never);
        assert_eq!(ring_nodes(&twice), [vec![1, 2]]);
        let closed = order([links(&[(1, 2), (2, 3)]), vec![uncertain(3, 1)]].concat(), true, Breaking::Never);
        assert_eq!((waves(&closed), closed.rings.len()), (vec![(2, 1), (3, 2)], 0));
        // Broken by a clear, the ring has an order whoever holds what; where none may be cleared of it, it is none.
        let ring = [links(&[(1, 2), (2, 3)]), vec![uncertain(3, 1)]].concat();
        for (kind, expected) in
            [(FieldKind::Imsi, vec![(1, 4), (2, 2), (3, 3)]), (FieldKind::Iccid, vec![(2, 1), (3, 2)])]
        {
            let breaking = Breaking::Clearing(FieldSet::only(kind));
            assert_eq!(waves(&order(ring.clone(), true, breaking)), expected);
        }
    }

    proptest! {
        #[test]
        fn uncertain_links_change_nothing_about_rings_and_what_is_kept_is_in_order(
            pairs in proptest::collection::vec((0..12_u64, 0..12_u64, any::<bool>()), 0..30),
            holds_rings in any::<bool>(),
        ) {
            let all: Vec<Link> = pairs
                .into_iter()
                .filter(|(before, after, _)| before != after)
                .map(|(before, after, is_uncertain)| Link { before, after, kind: FieldKind::Imsi, is_uncertain })
                .collect();
            let (uncertain, certain): (Vec<Link>, Vec<Link>) = all.iter().partition(|link| link.is_uncertain);
            let (order, alone) = (
                order(all.clone(), holds_rings, Breaking::Never),
                order(certain.clone(), holds_rings, Breaking::Never),
            );
            prop_assert_eq!(&order.rings, &alone.rings);
            let wave = |node: u64| order.waves.iter().find(|of| of.node == node).map_or(0, |of| of.wave);
            let in_ring = |node: u64| order.rings.iter().any(|ring| ring.nodes.contains(&node));
            for link in certain.iter().filter(|link| !in_ring(link.before) && !in_ring(link.after)) {
                prop_assert!(wave(link.after) > wave(link.before));
            }
            // An uncertain one is in order where the other links do not lead back from its end to its beginning.
            let leads_back = |link: &Link| {
                let mut seen = vec![link.after];
                while let Some(next) =
                    all.iter().find(|of| seen.contains(&of.before) && !seen.contains(&of.after))
                {
                    seen.push(next.after);
                }
                seen.contains(&link.before)
            };
            let is_held = |node| holds_rings && in_ring(node);
            for link in uncertain.iter().filter(|link| !is_held(link.before) && !is_held(link.after)) {
                prop_assert!(leads_back(link) || wave(link.after) > wave(link.before));
            }
        }

        #[test]
        fn of_a_permutation_every_cycle_is_a_ring_and_the_rest_releases_before_it_assigns(
            holders in proptest::sample::subsequence((0..60_u64).collect::<Vec<_>>(), 0..60).prop_shuffle(),
            wanted in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            // Subject n of the batch holds value n and takes `wanted[n]`; the other values nobody holds.
            let takes = |node: u64| wanted[usize::try_from(node).unwrap()];
            let pairs: Vec<Link> = holders
                .iter()
                .filter(|after| takes(**after) != **after && holders.contains(&takes(**after)))
                .map(|after| Link {
                    before: takes(*after),
                    after: *after,
                    kind: FieldKind::Imsi,
                    is_uncertain: false,
                })
                .collect();
            let order = order(pairs.clone(), true, Breaking::Never);
            let in_ring = |node: u64| {
                let mut at = node;
                for _ in 0..60 {
                    let Some(link) = pairs.iter().find(|link| link.after == at) else { return false };
                    at = link.before;
                    if at == node {
                        return true;
                    }
                }
                false
            };
            let held: Vec<u64> = ring_nodes(&order).concat();
            for node in &holders {
                prop_assert_eq!(held.contains(node), in_ring(*node));
            }
            let wave = |node: u64| order.waves.iter().find(|of| of.node == node).map_or(0, |of| of.wave);
            for link in pairs.iter().filter(|link| !in_ring(link.before) && !in_ring(link.after)) {
                prop_assert!(wave(link.after) == wave(link.before) + 1);
            }
            prop_assert!(held.iter().all(|node| wave(*node) == 0));
            // Broken, every one of them has its turn: behind whoever gives up what it takes, be it by a clear.
            let order = super::order(pairs.clone(), true, Breaking::Clearing(FieldSet::only(FieldKind::Imsi)));
            let cleared: HashMap<u64, u32> =
                order.rings.iter().map(|ring| (ring.clearing.unwrap().0, ring.clear_wave)).collect();
            prop_assert_eq!(ring_nodes(&order).concat().len(), held.len());
            let wave = |node: u64| order.waves.iter().find(|of| of.node == node).map_or(0, |of| of.wave);
            for link in &pairs {
                let before = cleared.get(&link.before).copied().unwrap_or_else(|| wave(link.before));
                prop_assert!(wave(link.after) > before);
            }
        }
    }
}
