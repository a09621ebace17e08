//! Which tools fit what somebody looks for: BM25 over name, title, description and arguments.
//!
//! In full it is simple BM25F (S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009):
//! a word counts by the weight of its field, and the length of a tool is that of its weighted words. A synonym counts as the
//! word itself, but less. `tests/catalogue/finding.rs` tries it on what people say.

use crate::mcp::tools::Definition;

/// How soon more of the same word counts no more. The publication's range is 1.2 to 2.
const K1: f32 = 1.2;
/// How much less a long text counts than a short one, from 0 to 1. The publication's range is 0.5 to 0.8.
const B: f32 = 0.75;

/// Name and title say what a tool is for, arguments only what it takes. Little depends on the figures: name and title at 1 to
/// 3, arguments at 0.25 to 1 and [`SYNONYM`] at 0.3 to 0.8 lose one of the sixty phrases at most.
const NAME: f32 = 1.5;
const TITLE: f32 = 1.5;
const DESCRIPTION: f32 = 1.0;
const ARGUMENTS: f32 = 0.5;

/// What a synonym counts, where the word itself counts 1.
const SYNONYM: f32 = 0.5;

/// What a document must score, where the best scores 1: models read every answer, and most of the rest has one word in common.
const FITS: f32 = 0.35;

/// What is read of a query: as much as a long sentence has, so that a text of any length costs no more.
const QUERY_CHARACTERS_MAX: usize = 200;
const QUERY_WORDS_MAX: usize = 32;

/// Words that say nothing of what is looked for.
const STOP_WORDS: &str = "a about am an and any are as at be been but by can could did do does for from get give had has have \
    he her his how i if in into is it its just let like me more my need no not of on or our out over please should so some \
    still that the their them then there these they this those to too up us use used using want was we were what when where \
    which why will with would you your";

/// Words that people use, and after the colon what the catalogue calls the same.
const SYNONYMS: &str = "\
    remove destroy erase rid revoke: delete\n\
    add new make: create\n\
    people user colleague teammate employee: member\n\
    invitation: invite\n\
    login: user\n\
    permission right admin promote: role\n\
    spend pay paid price invoice money: bill cost\n\
    undo rewind roll rollback revert: restore\n\
    copy clone fork: branch\n\
    sync cdc replicate: changefeed\n\
    upload load: import\n\
    dump: export\n\
    stop abort: cancel pause\n\
    suspend off shut: pause\n\
    move: migration\n\
    bigger grow resize upgrade: scale\n\
    machine vm: node\n\
    graph chart memory usage: metrics\n\
    datadog: monitoring integration\n\
    whitelist allowlist firewall open: access network\n\
    limit: quota\n\
    nickname alias: aliases\n\
    slow longest: activity statements\n\
    wrong broken: doctor";

/// What is known of a tool.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// Its unique name.
    pub name: &'a str,
    /// Its name for people.
    pub title: &'a str,
    /// What it does.
    pub description: &'a str,
    /// Names of its arguments, and the values of those that take certain ones only.
    pub arguments: Vec<&'a str>,
}

impl<'a> Document<'a> {
    /// Of a tool as clients see it.
    pub fn of(definition: &'a Definition) -> Self {
        let properties = definition.input_schema.get("properties").and_then(|properties| properties.as_object());
        let mut arguments = Vec::new();
        for (name, schema) in properties.into_iter().flatten() {
            let values = schema.get("enum").and_then(|values| values.as_array());
            arguments.push(name.as_str());
            arguments.extend(values.into_iter().flatten().filter_map(|value| value.as_str()));
        }
        Self { name: definition.name, title: definition.title, description: &definition.description, arguments }
    }

    /// Calls back with each word, stemmed, and the weight of its field.
    fn words(&self, mut each: impl FnMut(&str, f32)) {
        let fields = [(self.name, NAME), (self.title, TITLE), (self.description, DESCRIPTION)];
        let arguments = self.arguments.iter().map(|argument| (*argument, ARGUMENTS));
        for (text, weight) in fields.into_iter().chain(arguments) {
            for word in words(text) {
                each(&stem(&word), weight);
            }
        }
    }
}

/// A word of a query: its stem, then those of its synonyms.
struct Term(Vec<String>);

impl Term {
    /// What a word of a document counts for this one.
    fn weight(&self, stem: &str) -> f32 {
        match self.0.iter().position(|word| word == stem) {
            Some(0) => 1.0,
            Some(_) => SYNONYM,
            None => 0.0,
        }
    }
}

/// The documents that have to do with a query, as indices, the best first. Where two are as good, the first stays first.
pub fn rank(documents: &[Document<'_>], query: &str) -> Vec<usize> {
    let terms = terms(query);
    let counted: Vec<_> = documents.iter().map(|document| count(document, &terms)).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are some 80 tools, and f32 is exact up to 2^24")]
    let number = counted.len() as f32;
    let length_average = counted.iter().map(|(length, _)| length).sum::<f32>() / number;
    let mut scores = vec![0.0; counted.len()];
    for term in 0..terms.len() {
        let frequency = |(_, found): &(f32, Vec<f32>)| found.get(term).copied().unwrap_or_default();
        let having: f32 = counted.iter().map(|document| f32::from(u8::from(frequency(document) > 0.0))).sum();
        // With 1 added, as Lucene does: never negative, also for a word that most documents have.
        let rarity = (1.0 + (number - having + 0.5) / (having + 0.5)).ln();
        for (score, document) in scores.iter_mut().zip(&counted) {
            let frequency = frequency(document);
            let length = 1.0 - B + B * document.0 / length_average;
            *score += rarity * frequency * (K1 + 1.0) / (frequency + K1 * length);
        }
    }
    let best = scores.iter().copied().fold(0.0, f32::max);
    let fits = |(_, score): &(usize, f32)| *score > 0.0 && *score >= best * FITS;
    let mut found: Vec<_> = scores.into_iter().enumerate().filter(fits).collect();
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found.into_iter().map(|(index, _)| index).collect()
}

/// The length of a document, and how often it has each term, both weighted.
fn count(document: &Document<'_>, terms: &[Term]) -> (f32, Vec<f32>) {
    let mut length = 0.0;
    let mut found = vec![0.0; terms.len()];
    document.words(|word, weight| {
        length += weight;
        for (found, term) in found.iter_mut().zip(terms) {
            *found += weight * term.weight(word);
        }
    });
    (length, found)
}

/// What a query looks for: each word once.
fn terms(query: &str) -> Vec<Term> {
    let end = query.char_indices().nth(QUERY_CHARACTERS_MAX).map_or(query.len(), |(end, _)| end);
    let mut terms: Vec<Term> = Vec::new();
    for word in words(query.get(..end).unwrap_or_default()).into_iter().take(QUERY_WORDS_MAX) {
        let stem = stem(&word);
        let is_known = terms.iter().any(|Term(words)| words.first() == Some(&stem));
        if !is_known && !STOP_WORDS.split_ascii_whitespace().any(|stop| stop == word) {
            let mut words = synonyms(&stem);
            words.insert(0, stem);
            terms.push(Term(words));
        }
    }
    terms
}

/// The stems of the catalogue's words for a stem of a query.
fn synonyms(stemmed: &str) -> Vec<String> {
    let stems = |text: &str| text.split_ascii_whitespace().map(stem).collect::<Vec<_>>();
    let lines = SYNONYMS.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(said, _)| stems(said).iter().any(|said| said == stemmed))
        .flat_map(|(_, meant)| stems(meant))
        .collect()
}

/// The words of a text in lower case: `list_api_keys` has three, `displayName` the two and itself, and `MySQL` is one. The
/// catalogue is in ASCII, so other characters separate.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|run| !run.is_empty()) {
        let mut part = 0;
        for (before, window) in run.as_bytes().windows(3).enumerate() {
            if let [b'a'..=b'z', b'A'..=b'Z', b'a'..=b'z'] = window {
                words.extend(run.get(part..=before).map(str::to_ascii_lowercase));
                part = before + 1;
            }
        }
        words.extend(run.get(part..).filter(|_| part > 0).map(str::to_ascii_lowercase));
        words.push(run.to_ascii_lowercase());
    }
    words
}

/// A word without its ending, so that `restoring backups` finds `restore a backup`. The plural goes by D. Harman's S-stemmer
/// ("How Effective Is Suffixing?", 1991); then -ed, -ing, -ion, -e and -y go by steps 1b, 4, 5a and 1c of M. Porter's ("An
/// Algorithm for Suffix Stripping", 1980), with letters left where he counts syllables. A stem need be no word: both sides are
/// stemmed.
fn stem(word: &str) -> String {
    /// What of a word is left at least.
    const LETTERS_MIN: usize = 3;
    let mut stem = word.to_owned();
    if let Some(rest) = word.strip_suffix("ies").filter(|rest| rest.len() >= 2 && !rest.ends_with(['a', 'e'])) {
        stem = format!("{rest}y");
    } else if word.len() > LETTERS_MIN && word.ends_with('s') && !word.ends_with("us") && !word.ends_with("ss") {
        stem.pop();
    }
    let left = |ending: &str| stem.strip_suffix(ending).map(str::len).filter(|left| *left >= LETTERS_MIN);
    let has_vowel = |left: &usize| stem.bytes().take(*left).any(|letter| b"aeiouy".contains(&letter));
    if let Some(left) = left("ed").or(left("ing")).filter(has_vowel).filter(|_| !stem.ends_with("eed")) {
        stem.truncate(left);
        if let [.., before, last] = stem.as_bytes()
            && before == last
            && !b"lsz".contains(last)
        {
            stem.pop();
        }
    } else if let Some(left) = left("ion").filter(|left| *left > LETTERS_MIN)
        && (stem.ends_with("tion") || stem.ends_with("sion"))
    {
        stem.truncate(left);
    }
    if stem.len() > LETTERS_MIN && stem.ends_with('e') {
        stem.pop();
    } else if stem.len() > LETTERS_MIN && stem.ends_with('y') {
        stem.pop();
        stem.push('i');
    }
    stem
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Document, QUERY_CHARACTERS_MAX, QUERY_WORDS_MAX, rank, stem, words};

    fn document<'a>(name: &'a str, title: &'a str, description: &'a str, arguments: &[&'a str]) -> Document<'a> {
        Document { name, title, description, arguments: arguments.to_vec() }
    }

    fn shop() -> Vec<Document<'static>> {
        vec![
            document("list_carts", "List carts", "List the carts of a customer.", &["customerId"]),
            document("get_customer", "Get customer", "One customer, with what lies in the carts.", &[]),
            document("delete_cart", "Delete cart", "Delete a cart.", &["cartId"]),
            document("close_day", "Close the day", "Sum up.", &["format", "csv", "pdf"]),
        ]
    }

    #[test]
    fn a_name_counts_more_than_a_description_and_a_description_more_than_an_argument() {
        assert_eq!(rank(&shop(), "customer"), [1, 0], "`get_customer` is named so, `list_carts` only says it");
        let equal_length =
            [document("a", "a", "word", &["other"]), document("a", "a", "other", &["word"])].map(|document| document);
        assert_eq!(rank(&equal_length, "word"), [0, 1], "one says it in its description");
        assert_eq!(rank(&shop(), "pdf"), [3], "the values of an argument are found too");
    }

    #[test]
    fn only_what_matches_is_found_and_equals_keep_their_order() {
        assert_eq!(rank(&shop(), "giraffe"), [0; 0]);
        assert_eq!(rank(&shop(), "what is the"), [0; 0], "these words say nothing");
        assert_eq!(rank(&[], "customer"), [0; 0]);
        let twins = [document("b", "", "same words", &[]), document("a", "", "same words", &[])];
        assert_eq!(rank(&twins, "words"), [0, 1]);
    }

    #[test]
    fn endings_and_synonyms_do_not_matter() {
        for query in ["delete a cart", "deleting carts", "the CART was deleted", "remove cart", "get rid of my carts"] {
            assert_eq!(rank(&shop(), query).first(), Some(&2), "{query}");
        }
    }

    #[test]
    fn words_are_split_where_names_are() {
        assert_eq!(words("tidbcloud_list_api_keys"), ["tidbcloud", "list", "api", "keys"]);
        assert_eq!(words("pageToken, asOf"), ["page", "token", "pagetoken", "as", "of", "asof"]);
        assert_eq!(words("MySQL, TiKV or QPS; 90th"), ["mysql", "tikv", "or", "qps", "90th"]);
        assert_eq!(words("TiFlash\u{2019}s"), ["ti", "flash", "tiflash", "s"]);
        assert_eq!(words("\u{8d26}\u{5355}cluster \u{e9}"), ["cluster"]);
    }

    #[test]
    fn words_of_one_family_have_one_stem() {
        for family in [
            &["restore", "restores", "restored", "restoring"][..],
            &["copy", "copies", "copied", "copying"],
            &["policy", "policies"],
            &["index", "indexes", "indexing"],
            &["stop", "stops", "stopped", "stopping"],
            &["bill", "bills", "billed", "billing"],
            &["migrate", "migrates", "migrated", "migrating", "migration", "migrations"],
            &["connect", "connected", "connection"],
        ] {
            let stems: Vec<_> = family.iter().map(|word| stem(word)).collect();
            assert!(stems.windows(2).all(|two| two[0] == two[1]), "{family:?} have the stems {stems:?}");
        }
        for word in ["status", "access", "string", "need", "used", "region", "key", "action"] {
            assert_eq!(stem(word), word, "nothing of `{word}` is an ending");
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let filler = |number: usize| "x ".repeat(number);
        assert_eq!(rank(&shop(), &format!("{}pdf", filler(QUERY_WORDS_MAX - 1))), [3]);
        assert_eq!(rank(&shop(), &format!("{}pdf", filler(QUERY_WORDS_MAX))), [0; 0]);
        let blank = |number: usize| "\u{2003}".repeat(number);
        assert_eq!(rank(&shop(), &format!("{}pdf", blank(QUERY_CHARACTERS_MAX - 3))), [3]);
        assert_eq!(rank(&shop(), &format!("{}pdf", blank(QUERY_CHARACTERS_MAX))), [0; 0]);
    }

    proptest! {
        #[test]
        fn any_query_finds_each_document_once_at_most(query in "\\PC{0,300}|([a-z]{0,9}[ _]){0,60}") {
            let found = rank(&shop(), &query);
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), found.len());
            prop_assert!(found.iter().all(|index| *index < shop().len()));
        }

        #[test]
        fn any_documents_are_ranked(texts in prop::collection::vec("\\PC{0,40}", 0..6), query in "\\PC{0,40}") {
            let documents: Vec<_> = texts.iter().map(|text| document(text, text, text, &[text])).collect();
            prop_assert!(rank(&documents, &query).len() <= documents.len());
            for (text, document) in texts.iter().zip(&documents) {
                // No word without meaning is that long.
                let has_words = words(text).iter().any(|word| word.len() > 6);
                let alone = std::slice::from_ref(document);
                prop_assert!(!has_words || rank(alone, text) == [0], "{text} does not find itself");
            }
        }
    }
}
