//! Rows of `tests/cases/field.tsv` where only the real runtime can show the right answer.

mod authorization;
mod clients;
mod guesses;
mod names;
mod results;
