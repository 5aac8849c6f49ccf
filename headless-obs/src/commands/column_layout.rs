//! The widths of a table's columns: bars shrink and optional columns are dropped before a name is cut. Pure.

/// Names are cut to this width before a needed column is dropped.
const SHORTEST_NAME: usize = 12;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Whether it is aligned to the right, as figures are.
    pub(super) is_right: bool,
    role: Role,
    growth: Growth,
    /// With less room than this, the column is dropped; a name is cut.
    least: usize,
    /// The width of its head and its widest cell.
    wanted: usize,
}

/// The fate of a column if there is no room for all. Columns of a low rank are dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Name,
    Needed(u8),
    Optional(u8),
}

/// The way in which a column grows from its least width to its full width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    Steady,
    AllOrNothing,
}

impl Column {
    /// Names; they are cut last, and then in the middle.
    pub(super) fn name(head: &'static str, cells: impl IntoIterator<Item = usize>) -> Self {
        let column = Self::word(head, cells);
        let least = column.wanted.min(SHORTEST_NAME.max(head.len()));
        Self { role: Role::Name, least, ..column }
    }

    /// Text that is never cut.
    pub(super) fn word(head: &'static str, cells: impl IntoIterator<Item = usize>) -> Self {
        let wanted = cells.into_iter().chain([head.len()]).max().unwrap_or(0);
        let (role, growth) = (Role::Needed(u8::MAX), Growth::Steady);
        Self { head, is_right: false, role, growth, least: wanted, wanted }
    }

    /// Figures.
    pub(super) fn figure(head: &'static str, cells: impl IntoIterator<Item = usize>) -> Self {
        Self { is_right: true, ..Self::word(head, cells) }
    }

    /// A bar or a text, which may have any width between the two.
    pub(super) fn elastic(head: &'static str, least: usize, wanted: usize) -> Self {
        let column = Self::word(head, [wanted]);
        Self { least: least.max(head.len()), ..column }
    }

    /// A text with a short form.
    pub(super) fn either(head: &'static str, short: usize, long: usize) -> Self {
        Self { growth: Growth::AllOrNothing, ..Self::elastic(head, short, long) }
    }

    /// It is dropped before a name is cut.
    pub(super) fn optional(self, rank: u8) -> Self {
        Self { role: Role::Optional(rank), ..self }
    }

    /// The same, for cells without information.
    pub(super) fn optional_if(self, says_nothing: bool, rank: u8) -> Self {
        if says_nothing { self.optional(rank) } else { self }
    }

    /// It is dropped only if the names are as short as they may be.
    pub(super) fn needed(self, rank: u8) -> Self {
        Self { role: Role::Needed(rank), ..self }
    }

    /// The name column also has texts of this width, which must not be cut.
    pub(super) fn at_least(self, width: usize) -> Self {
        Self { least: self.least.max(width), ..self }
    }

    pub(super) fn is_name(&self) -> bool {
        self.role == Role::Name
    }

    /// Its width if no name is cut.
    fn uncut(&self) -> usize {
        if self.is_name() { self.wanted } else { self.least }
    }
}

/// The width of all columns if none is dropped and no name is cut, with a gap for each.
pub(super) fn needed(columns: &[Column], gap: usize) -> usize {
    columns.iter().map(|column| column.uncut() + gap).sum()
}

/// The width of all columns at their full width.
pub(super) fn wanted(columns: &[Column], gap: usize) -> usize {
    columns.iter().map(|column| column.wanted + gap).sum()
}

/// The width of each column, or nothing for a dropped one. Each column takes a gap as well.
pub(super) fn share(columns: &[Column], room: usize, gap: usize) -> Vec<Option<usize>> {
    let mut widths: Vec<_> = columns.iter().map(|column| Some(column.uncut())).collect();
    drop_until_fits(columns, &mut widths, room, gap, |role| match role {
        Role::Optional(rank) => Some(rank),
        Role::Name | Role::Needed(_) => None,
    });
    let uncut = widths.clone();
    let names: Vec<_> = (0..columns.len()).filter(|place| columns[*place].is_name()).collect();
    names.iter().for_each(|place| widths[*place] = Some(columns[*place].least));
    drop_until_fits(columns, &mut widths, room, gap, |role| match role {
        Role::Needed(rank) => Some(rank).filter(|rank| *rank < u8::MAX),
        Role::Name | Role::Optional(_) => None,
    });
    names.iter().for_each(|place| widths[*place] = Some(0));
    let for_names = room.saturating_sub(taken(&widths, gap));
    let wanted: Vec<_> = names.iter().filter_map(|place| uncut[*place]).collect();
    for (place, width) in names.iter().zip(level(&wanted, for_names)) {
        widths[*place] = Some(width);
    }
    let mut left = room.saturating_sub(taken(&widths, gap));
    for place in by_rank(columns, |role| Some(role_rank(role))).into_iter().rev() {
        let column = columns[place];
        let (Some(width), false) = (&mut widths[place], column.is_name()) else { continue };
        let more = column.wanted - column.least;
        if more <= left || column.growth == Growth::Steady {
            *width += more.min(left);
            left -= more.min(left);
        }
    }
    widths
}

/// The cells without those of dropped columns.
pub(super) fn shown<T>(
    cells: impl IntoIterator<Item = T>,
    widths: &[Option<usize>],
) -> impl Iterator<Item = T> {
    cells.into_iter().zip(widths).filter_map(|(cell, width)| width.map(|_| cell))
}

fn taken(widths: &[Option<usize>], gap: usize) -> usize {
    widths.iter().flatten().map(|width| width + gap).sum()
}

/// The optional columns that are dropped, lowest rank first, until the others fit.
fn drop_until_fits(
    columns: &[Column],
    widths: &mut [Option<usize>],
    room: usize,
    gap: usize,
    rank: impl Fn(Role) -> Option<u8>,
) {
    for place in by_rank(columns, |role| rank(role).map(usize::from)) {
        if taken(widths, gap) <= room {
            return;
        }
        widths[place] = None;
    }
}

/// The positions of the columns with a rank, the lowest first.
fn by_rank(columns: &[Column], rank: impl Fn(Role) -> Option<usize>) -> Vec<usize> {
    let ranked = columns.iter().enumerate();
    let mut ranked: Vec<_> = ranked.filter_map(|(place, column)| Some((rank(column.role)?, place))).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, place)| place).collect()
}

/// Needed columns grow before optional ones.
fn role_rank(role: Role) -> usize {
    match role {
        Role::Optional(rank) => usize::from(rank),
        Role::Needed(rank) => 256 + usize::from(rank),
        Role::Name => 512,
    }
}

/// Cuts the longest to the same length, so that all together have room.
fn level(wanted: &[usize], room: usize) -> Vec<usize> {
    let sum = |level: usize| wanted.iter().map(|wanted| level.min(*wanted)).sum::<usize>();
    let most = wanted.iter().copied().max().unwrap_or(0);
    let level = (1..=most).rev().find(|level| sum(*level) <= room).unwrap_or(1);
    let mut left = room.saturating_sub(sum(level));
    let one_more = |wanted: &usize| {
        let more = usize::from(*wanted > level && left > 0);
        left -= more;
        level.min(*wanted) + more
    };
    wanted.iter().map(one_more).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_shrink_then_optional_columns_go_then_names_are_cut() {
        let columns = [
            Column::name("NAME", [20, 5]),
            Column::figure("OPENED", [3]),
            Column::elastic("", 4, 30).optional(1),
            Column::figure("ACTIVE", [9]).optional(0),
            Column::word("STATE", [8]).needed(0),
        ];
        for (room, expected) in [
            (200, [Some(20), Some(6), Some(30), Some(9), Some(8)]),
            (62, [Some(20), Some(6), Some(9), Some(9), Some(8)]),
            (57, [Some(20), Some(6), Some(4), Some(9), Some(8)]),
            (56, [Some(20), Some(6), Some(14), None, Some(8)]),
            (46, [Some(20), Some(6), Some(4), None, Some(8)]),
            (45, [Some(20), Some(6), None, None, Some(8)]),
            (40, [Some(20), Some(6), None, None, Some(8)]),
            (39, [Some(19), Some(6), None, None, Some(8)]),
            (32, [Some(12), Some(6), None, None, Some(8)]),
            (31, [Some(20), Some(6), None, None, None]),
            (15, [Some(5), Some(6), None, None, None]),
            (0, [Some(1), Some(6), None, None, None]),
        ] {
            assert_eq!(share(&columns, room, 2), expected, "{room}");
        }
    }

    #[test]
    fn a_short_form_becomes_the_long_one_only_if_all_of_it_fits() {
        let columns = [Column::name("NAME", [10]), Column::either("FAILED", 7, 20).needed(0)];
        assert_eq!(share(&columns, 34, 2), [Some(10), Some(20)]);
        assert_eq!(share(&columns, 33, 2), [Some(10), Some(7)]);
    }

    #[test]
    fn the_longer_of_two_names_is_cut_first() {
        let columns = [Column::name("A", [30]), Column::name("B", [10])];
        assert_eq!(share(&columns, 32, 1), [Some(20), Some(10)]);
        assert_eq!(share(&columns, 19, 1), [Some(9), Some(8)]);
        assert_eq!(level(&[], 7), [0_usize; 0]);
    }

    fn column() -> impl Strategy<Value = Column> {
        (0..5_u8, 1..60_usize, 1..60_usize, 0..6_u8).prop_map(|(kind, least, more, rank)| match kind {
            0 => Column::name("", [least]),
            1 => Column::figure("", [least]).optional(rank),
            2 => Column::elastic("", least, least + more).optional(rank),
            3 => Column::either("", least, least + more).needed(rank),
            _ => Column::word("", [least]).needed(rank),
        })
    }

    proptest! {
        #[test]
        fn names_are_cut_last(mut columns in prop::collection::vec(column(), 0..8), room in 0..250_usize) {
            columns.insert(0, Column::name("", [40]));
            let widths = share(&columns, room, 2);
            let more = share(&columns, room + 1, 2);
            let is_name = |place: usize| columns[place].is_name();
            let is_cut = |place: usize| is_name(place) && widths[place] < Some(columns[place].wanted);
            let any_is_cut = (0..columns.len()).any(is_cut);
            let names = columns.iter().filter(|column| column.is_name()).count();
            // A name has at least one column.
            prop_assert!(taken(&widths, 2) <= room.max(3 * names), "{widths:?}");
            for (place, column) in columns.iter().enumerate() {
                let width = widths[place];
                match column.role {
                    Role::Name => prop_assert!(width >= Some(1)),
                    Role::Optional(_) => {
                        prop_assert!(width.is_none() || !any_is_cut, "a name was cut before {place}");
                        prop_assert!(more[place].is_some() || width.is_none(), "{place} came with less room");
                    }
                    Role::Needed(_) => {
                        prop_assert!(more[place].is_some() || width.is_none(), "{place} came with less room");
                    }
                }
                prop_assert!(width.is_none_or(|w| is_name(place) || (column.least..=column.wanted).contains(&w)));
            }
        }
    }
}
