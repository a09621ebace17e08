//! What attackers, public bug reports and models found: `tests/cases/field.tsv` has one example of each kind, with the
//! right answer. A test's name begins with the id of its row; beside the rows, each kind has a test over members that no
//! row shows.

mod authorization;
mod gate;
mod guesses;
mod names;
mod narrowing;
mod requests;
mod results;
