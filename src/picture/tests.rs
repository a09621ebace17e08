//! What every picture has to be, whatever its figures and words are.

use proptest::prelude::*;

use super::*;

fn figures(count: usize) -> impl Strategy<Value = Vec<Option<Figure>>> {
    let figure = prop_oneof![
        2 => Just(None),
        6 => (-1_000..100_000_i64).prop_map(|cents| Figure::parse(&format!("{}.{:02}", cents / 100, cents.unsigned_abs() % 100))),
        1 => any::<u64>().prop_map(|whole| Figure::parse(&whole.to_string())),
        1 => Just(Some(Figure::default())),
    ];
    prop::collection::vec(figure, count)
}

fn pictures(words: &'static str) -> impl Strategy<Value = Picture> {
    let shape = prop::sample::select(vec![Shape::Bars, Shape::Columns, Shape::Lines]);
    let sizes = (prop_oneof![0..6_usize, 0..40_usize, 100..400_usize], 1..12_usize);
    (shape, sizes, words, words).prop_flat_map(move |(shape, (places, series), title, unit)| {
        let one = (words, figures(places)).prop_map(|(name, values)| Series { name, values });
        let places = prop::collection::vec(words, places);
        (places, prop::collection::vec(one, series)).prop_map(move |(places, series)| {
            let (title, unit) = (title.clone(), unit.clone());
            Picture { title, unit, shape, places, series }
        })
    })
}

/// What a strict reader sees of an element: its name, its attributes, and the text right in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    fn is(&self, class: &str) -> bool {
        self.get("class").split(' ').any(|own| own == class)
    }
}

/// Reads a document of XML 1.0 without declarations, comments and entities of its own; panics where it is none.
fn read(document: &str) -> Vec<Element> {
    let is_character = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(document.chars().all(is_character), "XML 1.0 has no such character");
    let unescaped = |text: &str| {
        let mut plain = String::new();
        let mut parts = text.split('&');
        plain.push_str(parts.next().unwrap());
        for part in parts {
            let (entity, rest) = part.split_once(';').expect("a reference ends in a semicolon");
            plain.push(match entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                other => panic!("there is no entity {other}"),
            });
            plain.push_str(rest);
        }
        assert!(!text.contains('<'), "{text}");
        plain
    };
    let (mut all, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut rest = document;
    while let Some((text, after)) = rest.split_once('<') {
        if !text.is_empty() {
            let inner = *open.last().expect("text stands in an element");
            all[inner].text.push_str(&unescaped(text));
        }
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().expect("what is closed is open");
            assert_eq!(all[last].name, name, "elements end in the order in which they begin");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!all.is_empty() || name == "svg");
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        while !attributes.is_empty() {
            let (name, value) = attributes.split_once("=\"").expect("an attribute has a value in quotes");
            let (value, after) = value.split_once('"').expect("a value ends");
            element.attributes.push((name.trim().to_owned(), unescaped(value)));
            attributes = after;
        }
        if !is_empty {
            open.push(all.len());
        }
        all.push(element);
    }
    assert!(rest.is_empty() && open.is_empty(), "everything is closed");
    all
}

/// The points of a path, in its own order.
fn points(path: &str) -> Vec<(i128, i128)> {
    let mut commands: Vec<(char, Vec<i128>)> = Vec::new();
    let mut number = String::new();
    for character in path.chars().chain(['z']) {
        let ends = !character.is_ascii_digit();
        if ends && !number.is_empty() {
            commands.last_mut().expect("a command").1.push(number.parse().expect("a number"));
            number.clear();
        }
        match character {
            'a'..='z' | 'A'..='Z' => commands.push((character, Vec::new())),
            '-' | '0'..='9' => number.push(character),
            ' ' => {}
            other => panic!("a path has no {other:?}: {path}"),
        }
    }
    let (mut x, mut y) = (0, 0);
    let mut all = Vec::new();
    for (command, numbers) in commands {
        match (command, numbers.as_slice()) {
            ('M' | 'L', [to_x, to_y]) => (x, y) = (*to_x, *to_y),
            ('m' | 'l', [by_x, by_y]) => (x, y) = (x + by_x, y + by_y),
            ('H', [to]) => x = *to,
            ('V', [to]) => y = *to,
            ('h', [by]) => x += by,
            ('v', [by]) => y += by,
            ('z', []) => continue,
            other => panic!("a path has no {other:?}: {path}"),
        }
        all.push((x, y));
    }
    all
}

fn drawn(picture: &Picture) -> (String, Vec<Element>) {
    let document = picture.draw().expect("it has figures");
    let elements = read(&document);
    (document, elements)
}

fn of(shape: Shape, series: &[(&str, &[&str])]) -> Picture {
    let values = |values: &[&str]| values.iter().map(|value| Figure::parse(value)).collect();
    let count = series.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    Picture {
        title: "A title".into(),
        unit: "GiB".into(),
        shape,
        places: (1..=count).map(|day| format!("place {day}")).collect(),
        series: series.iter().map(|(name, own)| Series { name: (*name).into(), values: values(own) }).collect(),
    }
}

/// What stands in texts of a class, in their order.
fn texts(elements: &[Element], class: &str) -> Vec<String> {
    let texts = elements.iter().filter(|element| element.name == "text" && element.get("class") == class);
    texts.map(|element| element.text.clone()).collect()
}

fn path(elements: &[Element], class: &str) -> String {
    let paths = elements.iter().filter(|element| element.name == "path" && element.get("class") == class);
    paths.map(|element| element.get("d")).collect()
}

#[test]
fn bars_are_as_long_as_their_figures_and_a_gap_is_none() {
    let picture = of(Shape::Bars, &[("", &["10", "5", "?", "0", "-2.5"])]);
    let (_, elements) = drawn(&picture);
    let corners = points(&path(&elements, "f s0"));
    let wide: Vec<_> = corners.chunks(4).map(|bar| bar[1].0 - bar[0].0).collect();
    assert_eq!(wide.len(), 4, "what is not known has no bar");
    assert!((wide[0] - 2 * wide[1]).abs() <= 1 && wide[2] == 0, "{wide:?}");
    assert!((wide[0] - 4 * wide[3]).abs() <= 2 && corners[12].0 < corners[0].0, "what is less than nothing goes left");
    let names = ["place 1", "place 2", "place 3", "place 4", "place 5"];
    assert_eq!(texts(&elements, "v e"), names);
    assert_eq!(texts(&elements, "v"), ["10.0", "5.0", "0.0", "-2.5"]);
    assert!(texts(&elements, "").contains(&"no figure".to_owned()));
}

#[test]
fn a_line_is_broken_where_a_figure_is_missing() {
    let picture = of(Shape::Lines, &[("one", &["1", "2", "?", "4", "?", "6", "7"]), ("two", &["5"; 7])]);
    let (_, elements) = drawn(&picture);
    assert_eq!(path(&elements, "l s0").matches('M').count(), 2, "two pieces");
    assert_eq!(path(&elements, "d s0").matches('M').count(), 1, "and a point that stands alone");
    assert_eq!(path(&elements, "l s1").matches('M').count(), 1);
    assert_eq!(points(&path(&elements, "l s1")).len(), 7);
    let told = &texts(&elements, "")[0];
    assert_eq!(told, "GiB", "every place has a figure of some series");
}

#[test]
fn columns_without_a_figure_are_crossed_and_counted() {
    let picture = of(Shape::Columns, &[("one", &["1", "?", "3"]), ("two", &["1", "?", "?"])]);
    let (_, elements) = drawn(&picture);
    assert_eq!(path(&elements, "f s0").matches('M').count(), 2);
    assert_eq!(path(&elements, "f s1").matches('M').count(), 1);
    assert_eq!(texts(&elements, "")[0], "GiB · 1 without a figure");
    let (first, second) = (points(&path(&elements, "f s0")), points(&path(&elements, "f s1")));
    assert_eq!(first[2].1, second[0].1, "the second stands on the first");
}

#[test]
fn what_does_not_fit_is_summed_exactly() {
    let many: Vec<String> = (1..=40).map(|count| format!("{count}.01")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (_, elements) = drawn(&of(Shape::Bars, &[("", &many)]));
    assert_eq!(texts(&elements, "v e").last().unwrap(), "27 others");
    let rest: u32 = (14..=40).sum();
    assert_eq!(texts(&elements, "v").last().unwrap(), &format!("{rest}.27"));

    let series: Vec<(String, [&str; 2])> = (0..9).map(|count| (format!("s{count}"), ["1.5", "2"])).collect();
    let series: Vec<(&str, &[&str])> = series.iter().map(|(name, own)| (name.as_str(), own.as_slice())).collect();
    let (_, elements) = drawn(&of(Shape::Columns, &series));
    assert!(texts(&elements, "").contains(&"4 others".to_owned()));
    assert_eq!(path(&elements, "f s5").matches('M').count(), 2);
    let (_, elements) = drawn(&of(Shape::Lines, &series));
    assert_eq!(texts(&elements, "")[0], "GiB · 4 more series not shown", "lines have no sum");
}

#[test]
fn nothing_is_drawn_of_nothing() {
    assert_eq!(of(Shape::Bars, &[]).draw(), None);
    assert_eq!(of(Shape::Lines, &[("", &["?", "?"])]).draw(), None);
    assert!(of(Shape::Columns, &[("", &["0", "0"])]).draw().is_some());
}

proptest! {
    /// Any words, any figures: a document that is read strictly, within its bytes and its frame, with nothing that runs or is
    /// fetched, and places in their order.
    #[test]
    fn every_picture_is_a_small_document_within_its_frame(
        picture in prop_oneof![pictures("\\PC{0,40}|[<>&\"'\u{0}-\u{20}\u{202e}\u{fffe}]{0,30}"), pictures("[a-z&]{0,80}")]
    ) {
        let Some(document) = picture.draw() else {
            prop_assert!(picture.series.iter().flat_map(|series| &series.values).all(Option::is_none));
            return Ok(());
        };
        prop_assert!(document.len() <= BYTES_MAX, "{} bytes", document.len());
        let elements = read(&document);
        for element in &elements {
            let name = element.name.as_str();
            prop_assert!(["svg", "title", "style", "rect", "text", "path"].contains(&name), "{name}");
            for (name, value) in &element.attributes {
                let allowed = ["xmlns", "viewBox", "width", "height", "role", "class", "rx", "x", "y", "d"];
                prop_assert!(allowed.contains(&name.as_str()), "{name}={value}");
            }
            for (x, y) in points(element.get("d")) {
                prop_assert!((0..=WIDTH).contains(&x) && (0..=HEIGHT).contains(&y), "({x}, {y}): {}", element.get("d"));
            }
            for (name, edge) in [("x", WIDTH), ("y", HEIGHT)] {
                let place: i128 = element.get(name).parse().unwrap_or_default();
                prop_assert!((0..=edge).contains(&place), "{element:?}");
            }
            prop_assert!(!element.text.contains("url(") || element.name != "style");
        }
        let bars = elements.iter().filter(|element| element.is("f") && element.get("d").matches('M').count() > 1);
        for bars in bars {
            let corners = points(bars.get("d"));
            let starts = corners.chunks(4).map(|bar| if picture.shape == Shape::Bars { bar[0].1 } else { bar[0].0 });
            prop_assert!(starts.clone().zip(starts.skip(1)).all(|(one, next)| one <= next), "places are in their order");
        }
    }

    #[test]
    fn rows_are_named_in_their_order(count in 1..14_usize) {
        let values: Vec<String> = (0..count).map(|count| count.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let picture = of(Shape::Bars, &[("", &values)]);
        let (_, elements) = drawn(&picture);
        prop_assert_eq!(texts(&elements, "v e"), picture.places);
        prop_assert_eq!(texts(&elements, "v"), values);
    }
}
