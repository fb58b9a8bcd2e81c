//! What a table is, said once for every engine, and which steps bring an older store up to it. Descriptions only: nothing
//! here talks to a store.

/// A table with everything that an engine needs to know of it.
#[derive(Debug)]
pub struct Table {
    /// In the store it stands with [`PREFIX`] in front.
    pub name: &'static str,
    pub columns: &'static [Column],
    /// The columns that name one row. Never nullable.
    pub key: &'static [&'static str],
    pub indexes: &'static [Index],
    /// The column of times by which old rows are swept away.
    pub swept_by: Option<&'static str>,
    /// The schema version that brought it.
    pub since: u32,
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub is_nullable: bool,
    /// The schema version that brought it. One that came later than its table is nullable, for the rows before it.
    pub since: u32,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, NUL included.
    Text,
    /// 64 bits.
    Integer,
    /// Pico-dollars in 64 bits: up to 9.2 million dollars in one row. Sums are exact beyond that.
    Money,
    Flag,
    /// JSON as text: it comes back byte for byte.
    Json,
    /// A list of texts that rows can be found by.
    Names,
    /// Milliseconds since the Unix epoch.
    TimeMs,
    /// Bytes that nobody looks for.
    Bytes,
}

#[derive(Debug)]
pub struct Index {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub uniqueness: Uniqueness,
    /// Rows whose first column here is null are left out where the engine can do that: nobody looks for them by it.
    pub is_sparse: bool,
    pub since: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    Unique,
    Repeating,
}

/// All tables of one version of the program.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    pub version: u32,
    pub tables: &'static [&'static Table],
}

/// Stands in front of every name in the store, so that tables of other programs in the same database stay untouched.
pub const PREFIX: &str = "ringway_";

/// The table of the schema's own version: one row, `id` 1, `version`.
pub const VERSION_TABLE: &str = "ringway_schema";

/// One change on the way from one version to the next. No step takes anything away.
#[derive(Debug)]
pub enum Step {
    /// With the columns that it had in the version of this step.
    CreateTable(&'static Table, Vec<&'static Column>),
    AddColumn(&'static Table, &'static Column),
    CreateIndex(&'static Table, &'static Index),
}

impl Schema {
    /// The steps from a version (0 is an empty store) to this one, in order.
    pub fn steps_from(&self, version: u32) -> Vec<Step> {
        (version + 1..=self.version).flat_map(|version| self.steps_of(version)).collect()
    }

    fn steps_of(&self, version: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        for table in self.tables.iter().copied() {
            let own = table.columns.iter().filter(|column| column.since == version);
            if table.since == version {
                steps.push(Step::CreateTable(table, own.collect()));
            } else {
                steps.extend(own.map(|column| Step::AddColumn(table, column)));
            }
            let indexes = table.indexes.iter().filter(|index| index.since == version);
            steps.extend(indexes.map(|index| Step::CreateIndex(table, index)));
        }
        steps
    }
}

impl Table {
    /// Its name in the store.
    pub fn stored_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The place of a column.
    ///
    /// # Panics
    /// When it has no such column, which only a mistake in the program can bring about.
    pub fn place(&self, name: &str) -> usize {
        let place = self.columns.iter().position(|column| column.name == name);
        place.unwrap_or_else(|| panic!("the table {} has no column {name}", self.name))
    }

    /// A column by its name; panics like [`Table::place`].
    pub fn column(&self, name: &str) -> &'static Column {
        &self.columns[self.place(name)]
    }

    /// Whether rows are found by it, which bounds the length of its texts.
    pub fn is_indexed(&self, column: &str) -> bool {
        self.is_key(column) || self.indexes.iter().any(|index| index.columns.contains(&column))
    }

    pub fn is_key(&self, column: &str) -> bool {
        self.key.contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn column(name: &'static str, since: u32) -> Column {
        Column { name, kind: Kind::Text, is_nullable: true, since }
    }

    const OLD: Table = Table {
        name: "old",
        columns: &[column("id", 1), column("more", 2)],
        key: &["id"],
        indexes: &[Index {
            name: "by_more",
            columns: &["more"],
            uniqueness: Uniqueness::Repeating,
            is_sparse: false,
            since: 2,
        }],
        swept_by: None,
        since: 1,
    };
    const NEW: Table = Table {
        name: "new",
        columns: &[column("id", 2), column("late", 3)],
        key: &["id"],
        indexes: &[],
        swept_by: None,
        since: 2,
    };

    #[test]
    fn the_steps_lead_from_any_version_to_the_last_and_create_nothing_twice() {
        let schema = Schema { version: 3, tables: &[&OLD, &NEW] };
        let words = |from| {
            let word = |step: &Step| match step {
                Step::CreateTable(table, columns) => format!("create {} {}", table.name, columns.len()),
                Step::AddColumn(table, column) => format!("add {}.{}", table.name, column.name),
                Step::CreateIndex(_, index) => format!("index {}", index.name),
            };
            schema.steps_from(from).iter().map(word).collect::<Vec<_>>()
        };
        let all = ["create old 1", "add old.more", "index by_more", "create new 1", "add new.late"];
        assert_eq!(words(0), all);
        assert_eq!(words(1), all[1..]);
        assert_eq!(words(2), all[4..]);
        assert_eq!(words(3), [""; 0]);
        assert_eq!(words(4), [""; 0]);
    }
}
