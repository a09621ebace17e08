//! SQL, and SQL users.

mod db_create_user;
mod db_describe;
mod db_execute;
mod db_list_users;
mod db_query;
mod db_remove_user;
mod show_databases;
mod show_tables;

use crate::catalogue::{Entry, Group, Toolset};

/// The toolset.
pub(super) const GROUP: Group = Group {
    toolset: Toolset::Database,
    tools: &[
        Entry::of::<show_databases::ShowDatabases>,
        Entry::of::<show_tables::ShowTables>,
        Entry::of::<db_describe::DbDescribe>,
        Entry::of::<db_query::DbQuery>,
        Entry::of::<db_execute::DbExecute>,
        Entry::of::<db_list_users::DbListUsers>,
        Entry::of::<db_create_user::DbCreateUser>,
        Entry::of::<db_remove_user::DbRemoveUser>,
    ],
};
