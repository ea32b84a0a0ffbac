//! Rows that together hold every pair of values of any two axes that go together.

use crate::random::Random;
use crate::space::{AXES, Row};

/// Rows looked at for the one that covers most.
const CANDIDATES: usize = 24;
/// Rows tried before a pair is taken for one that does not go together.
const TRIES: usize = 400;

/// What a choice of rows covers.
pub struct Covering {
    pub rows: Vec<Row>,
    pub pairs: usize,
    /// Pairs of values that exclude each other.
    pub excluded: usize,
}

/// Chooses rows until no pair is left.
pub fn cover(random: &mut Random) -> Covering {
    let mut open = Open::all();
    let (pairs, mut rows, mut excluded) = (open.left, Vec::new(), 0);
    while let Some(pair) = open.next() {
        let mut best: Option<(usize, Row)> = None;
        let mut found = 0;
        for number in 0..TRIES {
            // The fewer options there are, the fewer exclude each other.
            let mut row = Row::random(random, 2 + number / 50);
            (row.0[pair.0], row.0[pair.2]) = (pair.1, pair.3);
            if !row.goes_together() {
                continue;
            }
            let covers = open.count(&row);
            if best.as_ref().is_none_or(|(most, _)| covers > *most) {
                best = Some((covers, row));
            }
            found += 1;
            if found == CANDIDATES {
                break;
            }
        }
        match best {
            Some((_, row)) => {
                open.close(&row);
                rows.push(row);
            }
            None => {
                open.exclude(pair);
                excluded += 1;
            }
        }
    }
    Covering { rows, pairs, excluded }
}

/// Two axes with a value each.
type Pair = (usize, usize, usize, usize);

/// The pairs that no row holds yet.
struct Open {
    /// Where the values of each axis begin in the numbering of all.
    start: Vec<usize>,
    values: usize,
    open: Vec<bool>,
    left: usize,
    from: usize,
}

impl Open {
    fn all() -> Self {
        let mut start = vec![0];
        AXES.iter().for_each(|axis| start.push(start[start.len() - 1] + axis.values.len()));
        let values = start[AXES.len()];
        let mut all = Self { start, values, open: vec![false; values * values], left: 0, from: 0 };
        for (one, first) in AXES.iter().enumerate() {
            for (other, second) in AXES.iter().enumerate().skip(one + 1) {
                for a in 0..first.values.len() {
                    for b in 0..second.values.len() {
                        let at = all.at((one, a, other, b));
                        all.open[at] = true;
                        all.left += 1;
                    }
                }
            }
        }
        all
    }

    fn at(&self, (one, a, other, b): Pair) -> usize {
        (self.start[one] + a) * self.values + self.start[other] + b
    }

    fn next(&mut self) -> Option<Pair> {
        self.from += self.open[self.from..].iter().position(|open| *open)?;
        let axis = |value: usize| {
            let at = self.start.partition_point(|start| *start <= value) - 1;
            (at, value - self.start[at])
        };
        let ((one, a), (other, b)) = (axis(self.from / self.values), axis(self.from % self.values));
        Some((one, a, other, b))
    }

    fn pairs<'r>(&'r self, row: &'r Row) -> impl Iterator<Item = usize> + 'r {
        (0..AXES.len()).flat_map(move |one| {
            (one + 1..AXES.len()).map(move |other| self.at((one, row.0[one], other, row.0[other])))
        })
    }

    fn count(&self, row: &Row) -> usize {
        self.pairs(row).filter(|at| self.open[*at]).count()
    }

    fn close(&mut self, row: &Row) {
        let pairs: Vec<_> = self.pairs(row).collect();
        pairs.into_iter().for_each(|at| self.open[at] = false);
    }

    fn exclude(&mut self, pair: Pair) {
        let at = self.at(pair);
        self.open[at] = false;
    }
}
