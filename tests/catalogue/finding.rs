//! Whether people find what they need: what they say (`tests/cases/phrases.tsv`), and the tool that each needs, among all that
//! the catalogue grows to. Descriptions are written to be found by these phrases; none is written for those of
//! `tests/cases/phrases-untuned.tsv`, which show what the finder is worth on what nobody thought of.

use std::{collections::BTreeSet, fs};

use mcp_server_tidbcloud::catalogue::{Document, rank};

use crate::{
    Problems,
    fixture::{FILE, Row},
    support::checkout,
};

/// Where the phrases are, and which share of them must find its tool.
struct Phrases {
    file: &'static str,
    found_min_percent: usize,
}

/// 57 of 60.
const PHRASES: Phrases = Phrases { file: "tests/cases/phrases.tsv", found_min_percent: 95 };

/// 36 of 40.
const UNTUNED: Phrases = Phrases { file: "tests/cases/phrases-untuned.tsv", found_min_percent: 90 };

impl Phrases {
    /// What is said, and the tool that it needs.
    fn read(&self) -> Vec<(String, String)> {
        let file = self.file;
        let text = fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("phrase\ttool"), "the first line of {file} names the columns");
        let pair = |line: &str| {
            let (phrase, tool) = line.split_once('\t').unwrap_or_else(|| panic!("{file}: `{line}` has no tab"));
            (phrase.to_owned(), tool.to_owned())
        };
        lines.map(pair).collect()
    }
}

/// A tool as models read it; one that the server does not have yet, as its row says.
fn document(row: &Row) -> Document<'_> {
    row.tool().map_or_else(
        || Document {
            name: &row.name,
            title: &row.title,
            description: &row.description,
            arguments: row
                .arguments
                .iter()
                .flat_map(|argument| std::iter::once(&argument.name).chain(&argument.values))
                .map(String::as_str)
                .collect(),
        },
        |tool| Document::of(&tool.definition),
    )
}

/// Fails unless enough phrases have their tool among the first `places` of what a ranking finds.
fn most_find_their_tool(phrases: &Phrases, ranking: &str, places: usize, find: impl Fn(&str) -> Vec<usize>) {
    let rows = Row::all();
    let found_min_percent = phrases.found_min_percent;
    let phrases = phrases.read();
    let mut missed = Vec::new();
    for (phrase, tool) in &phrases {
        let found: Vec<&str> = find(phrase).into_iter().map(|index| rows[index].name.as_str()).collect();
        let place = found.iter().position(|name| name == tool);
        if place.is_none_or(|place| place >= places) {
            let place = place.map_or_else(|| "not at all".to_owned(), |place| format!("in place {}", place + 1));
            let first = found[..found.len().min(places)].join(", ");
            missed.push(format!("- \"{phrase}\" finds {tool} {place}, and first {first}"));
        }
    }
    let found = phrases.len() - missed.len();
    let missed = missed.join("\n");
    println!("{ranking}: {found} of {} among the first {places}", phrases.len());
    assert!(
        found * 100 >= phrases.len() * found_min_percent,
        "{ranking} puts the right tool among the first {places} for {found} of {} phrases only. Say in its description \
         ({FILE}) what people ask for:\n{missed}\n",
        phrases.len()
    );
}

#[test]
fn what_people_say_finds_the_tool_among_the_first_five() {
    let rows = Row::all();
    let documents: Vec<_> = rows.iter().map(document).collect();
    for phrases in [PHRASES, UNTUNED] {
        most_find_their_tool(&phrases, "the finder", 5, |phrase| rank(&documents, phrase));
    }
}

/// Hosts have a search of their own, which knows no endings and no synonyms: the words must stand in what it sees.
#[test]
fn a_plain_search_finds_the_tool_among_the_first_eight() {
    let rows = Row::all();
    let texts: Vec<_> = rows
        .iter()
        .map(|row| {
            let Document { name, title, description, .. } = document(row);
            let arguments: Vec<_> = row.arguments.iter().map(|argument| argument.name.as_str()).collect();
            words(&format!("{name} {title} {description} {}", arguments.join(" ")))
        })
        .collect();
    most_find_their_tool(&PHRASES, "plain BM25", 8, |phrase| bm25(&texts, phrase));
}

#[test]
fn every_phrase_names_a_tool_and_every_tool_that_is_not_listed_has_one() {
    let rows = Row::all();
    let phrases = [PHRASES, UNTUNED].map(|phrases| phrases.read()).concat();
    let mut problems = Problems::default();
    for (phrase, tool) in &phrases {
        problems.unless(rows.iter().any(|row| row.name == *tool), || {
            format!("\"{phrase}\" needs `{tool}`, which has no row in {FILE}")
        });
    }
    for row in rows.iter().filter(|row| !row.default) {
        problems.unless(PHRASES.read().iter().any(|(_, tool)| *tool == row.name), || {
            format!(
                "`{}` is not listed by default, and {} has nothing that people say to find it",
                row.name, PHRASES.file
            )
        });
    }
    problems.none();
}

/// BM25 as published, with its usual constants, over one text for each document: the indices, the best first.
fn bm25(documents: &[Vec<String>], query: &str) -> Vec<usize> {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    #[expect(clippy::cast_precision_loss, reason = "tens of documents and words")]
    let float = |number: usize| number as f64;
    let number = float(documents.len());
    let length_average = float(documents.iter().map(Vec::len).sum()) / number;
    let mut scores = vec![0.0; documents.len()];
    for word in words(query).into_iter().collect::<BTreeSet<_>>() {
        let having = float(documents.iter().filter(|document| document.contains(&word)).count());
        let rarity = (1.0 + (number - having + 0.5) / (having + 0.5)).ln();
        for (score, document) in scores.iter_mut().zip(documents) {
            let frequency = float(document.iter().filter(|other| **other == word).count());
            let length = 1.0 - B + B * float(document.len()) / length_average;
            *score += rarity * frequency * (K1 + 1.0) / (frequency + K1 * length);
        }
    }
    let mut found: Vec<_> = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found.into_iter().map(|(index, _)| index).collect()
}

/// Runs of letters and digits in lower case, split at `_` and where an upper-case letter stands between lower-case ones.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (index, letter) in letters.iter().enumerate() {
        let is_lower =
            |index: Option<usize>| index.and_then(|index| letters.get(index)).is_some_and(char::is_ascii_lowercase);
        let begins = letter.is_ascii_uppercase() && is_lower(index.checked_sub(1)) && is_lower(Some(index + 1));
        if begins || !letter.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_ascii_alphanumeric()) {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
