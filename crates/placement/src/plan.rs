//! One pass over the queue.
//!
//! Start at [`plan`]. A line (all of a requester that needs the same) is dropped from the pass as soon as no node has
//! room for it, and the nodes are searched by an index, so a pass costs its placements and the lines that it looks at,
//! never the length of the queue, and hardly more for more nodes.
//!
//! Invariant: never puts more on a node than the snapshot says is free there.

mod room;

use crate::fleet::Search;
use crate::{Bounds, Cursor, Line, Placement, Plan, Rank, Reservation, Snapshot, Turn, Waiting};
use hivemind_model::spec::Need;
use hivemind_model::{Kind, Timestamp, UserId};
use room::Rooms;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;

/// Chooses nodes for what waits in `snapshot`.
///
/// Each placement goes to the requester who has used least, with what this pass gave them counted
/// (so shares even out within a pass as well as over days), and there to the element of the
/// smallest rank. It goes to the node that it fits best among sixteen candidates: one where it has not failed before, then
/// one whose GPUs it does not waste, that has the image, that has its inputs, the one that keeps the least of the
/// resource it needs most, one of a preferred level, one that is more reliable, one that is faster.
///
/// The candidates are those that have room and the least CPU free, from a place on that the seed decides where many have
/// as much. Sixteen do: the best of sixteen that are drawn at random is among the best fifth of all with a chance of 97 in
/// 100 (1 - 0.8^16), and it does not draw everything to the same few nodes; to look at all would cost a thousand times as
/// much where there are 10,000. Where no more than sixteen have room the choice is the best of all.
///
/// An element that has waited for long and finds no room gets one node reserved: nothing else is placed
/// there until it fits, so that what is large does not starve behind what is small. Any other that finds no room goes to
/// the backlog of the node that takes the most into it, if one does that could run it when idle.
///
/// Equal inputs give equal plans; ties end in the node id. The plan is a proposal: the engine
/// refuses any line whose capacity has gone.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, bounds: Bounds, seed: u64) -> Plan {
    let mut pass = Pass::new(snapshot, bounds.placements, seed);
    let stopped = pass.run(snapshot, None, bounds.lines);
    let resume = match (stopped, snapshot.resume) {
        (None, _) => None,
        (Some(at), _) if pass.is_full() => Some(at),
        (Some(at), None) => Some(at),
        // The front is full of lines that do not fit: look further back in turns.
        (Some(at), Some(from)) => pass.run(snapshot, Some(from.max(at)), bounds.lines),
    };
    Plan { placements: pass.placements, reserved: pass.reserved, resume }
}

/// A pass that finds no room for anything any more ends early, and so may not come to an element that has waited for long
/// behind others that have not. One pass of so many goes on to the end for it, with all passes that resume it.
const THOROUGH_PASS: u64 = 256;
/// Lines without room that every pass looks at for such an element.
const LINES_WITHOUT_ROOM: usize = 4;

/// A line that the pass has opened.
struct Open<'a> {
    /// Its need, among those that the pass knows.
    known: usize,
    next: Waiting<'a>,
    rest: Box<dyn Iterator<Item = Waiting<'a>> + 'a>,
}

/// A requester whose turn may come in this pass.
struct Requester<'a> {
    turn: Turn,
    unopened: Peekable<Box<dyn Iterator<Item = Line<'a>> + 'a>>,
    heads: BinaryHeap<Reverse<(Rank, usize)>>,
    open: Vec<Open<'a>>,
}

/// What came of a requester's turn.
enum Served {
    /// An element of the need that is known by this number.
    Placed(usize),
    Nothing,
    Stopped(Rank),
    /// No node has room for anything that waits.
    Spent,
}

/// What came of an element's turn.
enum Fate {
    Placed(Placement),
    /// Others of its line may find room.
    PassedOver,
    /// No other of its line will.
    LineDropped,
}

struct Pass<'a> {
    rooms: Rooms<'a>,
    placements: Vec<Placement>,
    /// What a node was kept free for and is placed there now; it is met again among what waits.
    served: Option<Rank>,
    reserved: Option<Reservation>,
    reserve_before: Timestamp,
    most: usize,
    /// The least that anything needs, of each kind of program.
    least: Vec<Search>,
    thorough: bool,
    without_room: usize,
}

impl<'a> Pass<'a> {
    fn new(snapshot: &Snapshot<'a>, most: usize, seed: u64) -> Self {
        let mut pass = Self {
            rooms: Rooms::new(snapshot.fleet, seed),
            placements: Vec::new(),
            served: None,
            reserved: None,
            reserve_before: snapshot.reserve_before,
            most,
            least: {
                let resources = snapshot.queue.least();
                Kind::ALL.iter().map(|kind| Search::new(Need { resources, kind: *kind, ..Need::default() })).collect()
            },
            thorough: snapshot.resume.is_some() || seed.is_multiple_of(THOROUGH_PASS),
            without_room: 0,
        };
        if let Some(reserved) = &snapshot.reserved {
            pass.keep(reserved);
        }
        pass
    }

    /// Serves what a node was reserved for, or keeps it reserved, unless it has gone or is too small by now.
    fn keep(&mut self, reserved: &Reservation) {
        let Some(node) = self.rooms.node(reserved.node) else { return };
        let (has_room, could_run) = (node.has_room(&reserved.need), node.could_run(&reserved.need));
        if has_room && self.rooms.take(reserved.node, &reserved.need.resources) {
            let element = reserved.rank.element();
            self.placements.push(Placement { element, node: reserved.node, backlog: false });
            self.served = Some(reserved.rank);
        } else if could_run {
            self.rooms.block(reserved.node);
            self.reserved = Some(reserved.clone());
        }
    }

    /// Serves requesters from `from` on; looks at no more than `lines`. `Some` is where it stopped.
    fn run(&mut self, snapshot: &Snapshot<'_>, from: Option<Cursor>, lines: usize) -> Option<Cursor> {
        let mut waiting = snapshot.queue.turns(from.map(|from| from.turn)).peekable();
        let mut turns: BinaryHeap<Reverse<(Turn, usize)>> = BinaryHeap::new();
        let mut requesters: Vec<Requester<'_>> = Vec::new();
        let mut left = lines;
        loop {
            let head = turns.peek().map(|Reverse((turn, _))| *turn);
            if let Some(turn) = waiting.next_if(|turn| head.is_none_or(|head| *turn < head)) {
                let rank = from.filter(|from| from.turn == turn).map(|from| from.rank);
                let unopened = snapshot.queue.lines(turn.user, rank).peekable();
                turns.push(Reverse((turn, requesters.len())));
                requesters.push(Requester { turn, unopened, heads: BinaryHeap::new(), open: Vec::new() });
                continue;
            }
            let Reverse((_, index)) = turns.pop()?;
            let requester = &mut requesters[index];
            match self.serve(requester, &mut left) {
                Served::Placed(known) => {
                    let cost = (snapshot.cost)(self.rooms.need(known));
                    requester.turn.used = requester.turn.used.saturating_add(cost);
                    turns.push(Reverse((requester.turn, index)));
                }
                Served::Nothing => {}
                Served::Spent => return None,
                Served::Stopped(rank) => return Some(Cursor { turn: requester.turn, rank }),
            }
        }
    }

    /// Places the next element of a requester.
    fn serve(&mut self, requester: &mut Requester<'_>, lines: &mut usize) -> Served {
        loop {
            let head = requester.heads.peek().map(|Reverse((rank, _))| *rank);
            if let Some(line) = requester.unopened.next_if(|line| head.is_none_or(|head| line.head < head)) {
                if *lines == 0 || self.is_full() {
                    return Served::Stopped(line.head);
                }
                *lines -= 1;
                let (known, mut rest) = (self.rooms.know(line.need), line.waiting);
                let Some(next) = rest.next() else { continue };
                if self.rooms.is_hopeless(known) {
                    self.reserve(requester.turn.user, &next, known);
                    if self.is_spent() {
                        return Served::Spent;
                    }
                } else {
                    requester.heads.push(Reverse((line.head, requester.open.len())));
                    requester.open.push(Open { known, next, rest });
                }
                continue;
            }
            let Some(Reverse((rank, index))) = requester.heads.pop() else { return Served::Nothing };
            if self.is_full() {
                return Served::Stopped(rank);
            }
            let line = &mut requester.open[index];
            let fate = self.place(requester.turn.user, &line.next, line.known);
            match fate {
                Fate::Placed(placement) => self.placements.push(placement),
                Fate::PassedOver if *lines == 0 => return Served::Stopped(rank),
                Fate::PassedOver => *lines -= 1,
                Fate::LineDropped if self.is_spent() => return Served::Spent,
                Fate::LineDropped => continue,
            }
            if let Some(next) = line.rest.next() {
                line.next = next;
                requester.heads.push(Reverse((next.rank, index)));
            }
            if let Fate::Placed(_) = fate {
                return Served::Placed(line.known);
            }
        }
    }

    /// Places an element where there is room, keeps a node free for it if it has waited for long, or lets it wait
    /// on a node.
    fn place(&mut self, user: UserId, waiting: &Waiting<'_>, known: usize) -> Fate {
        let element = waiting.rank.element();
        if self.served == Some(waiting.rank) {
            return Fate::PassedOver;
        }
        if let Some(node) = self.rooms.place(known, waiting) {
            return Fate::Placed(Placement { element, node, backlog: false });
        }
        if !self.reserve(user, waiting, known)
            && let Some(node) = self.rooms.place_in_backlog(known, waiting)
        {
            return Fate::Placed(Placement { element, node, backlog: true });
        }
        if self.rooms.is_hopeless(known) { Fate::LineDropped } else { Fate::PassedOver }
    }

    /// Reserves a node for an element that found no room, if it has waited for long and no other has one.
    fn reserve(&mut self, user: UserId, waiting: &Waiting<'_>, known: usize) -> bool {
        let rank = waiting.rank;
        if self.reserved.is_some() || self.served == Some(rank) || rank.since() > self.reserve_before {
            return false;
        }
        let Some(node) = self.rooms.nearest_to_room(known, waiting.not_owners) else { return false };
        self.rooms.block(node);
        self.reserved = Some(Reservation { user, rank, need: self.rooms.need(known).clone(), node });
        true
    }

    /// True where no node has room for anything, so that all lines behind this one are as hopeless. Called for each
    /// line without room; the first of them are looked at in any case, as one may have waited for long.
    fn is_spent(&mut self) -> bool {
        self.without_room += 1;
        let may_stop = self.reserved.is_some() || self.without_room > LINES_WITHOUT_ROOM;
        may_stop && !self.thorough && self.least.iter().all(|least| self.rooms.is_spent(least))
    }

    fn is_full(&self) -> bool {
        self.placements.len() >= self.most
    }
}

#[cfg(test)]
mod tests;
