//! The order of functions in the Worker's module. gzip finds what it has seen in the last 32 KiB only, so like functions stand
//! together. Names are no good measure: most functions are a generic one for some type, or an `async fn` of a tool, and what
//! they have in common is machine code.

use std::collections::{HashMap, VecDeque};

/// So many bytes that follow one another are a piece. A function is as like another as it shares pieces.
const PIECE: usize = 6;

/// A piece that more functions have says nothing.
const COMMON: usize = 150;

/// What gzip looks back, less a little, because a piece is counted with its whole function.
const WINDOW: usize = 32_000;

/// The module with other names: wasm-opt's `--reorder-functions-by-name` then makes the order found here. Each next function
/// is the one that shares most with those shortly before it, for its length.
///
/// The sections are those of the WebAssembly Core Specification 2.0, section 5.5; names are in its appendix, "Name Section".
pub(crate) fn named(module: &[u8]) -> Result<Vec<u8>, String> {
    renamed(module).ok_or_else(|| "the module cannot be read".to_owned())
}

fn renamed(module: &[u8]) -> Option<Vec<u8>> {
    let (mut named, mut rest) = module.split_at_checked(8).map(|(start, rest)| (start.to_vec(), Reader(rest)))?;
    let (mut imported, mut bodies) = (0, Vec::new());
    while !rest.0.is_empty() {
        let (before, id) = (rest.0, rest.byte()?);
        let mut content = Reader(rest.counted()?);
        match id {
            2 => imported = imports(&mut content)?,
            10 => bodies = (0..content.number()?).map(|_| content.counted()).collect::<Option<_>>()?,
            _ => {}
        }
        if id != 0 {
            named.extend(before.get(..before.len() - rest.0.len())?);
        }
    }

    let mut names = Vec::new();
    number(&mut names, bodies.len());
    let mut places: Vec<_> = order(&bodies)?.into_iter().enumerate().map(|(place, body)| (body, place)).collect();
    places.sort_unstable();
    for (body, place) in places {
        number(&mut names, imported + body);
        counted(&mut names, format!("{place:06}").as_bytes());
    }
    let mut section = Vec::new();
    counted(&mut section, b"name");
    section.push(1);
    counted(&mut section, &names);
    named.push(0);
    counted(&mut named, &section);
    Some(named)
}

/// How many functions the import section has: theirs are the first numbers.
fn imports(section: &mut Reader<'_>) -> Option<usize> {
    let mut functions = 0;
    for _ in 0..section.number()? {
        section.counted()?;
        section.counted()?;
        match section.byte()? {
            0 => {
                section.number()?;
                functions += 1;
            }
            1 => {
                section.byte()?;
                section.limits()?;
            }
            2 => section.limits()?,
            3 => {
                section.byte()?;
                section.byte()?;
            }
            4 => {
                section.byte()?;
                section.number()?;
            }
            _ => return None,
        }
    }
    Some(functions)
}

fn order(bodies: &[&[u8]]) -> Option<Vec<usize>> {
    // For each piece the functions that have it, and for each function its pieces.
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut having: Vec<Vec<usize>> = Vec::new();
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    for (body, code) in bodies.iter().enumerate() {
        let mut of_body = Vec::new();
        for piece in code.windows(PIECE) {
            let piece = *known.entry(piece).or_insert(having.len());
            if piece == having.len() {
                having.push(Vec::new());
            }
            let functions = having.get_mut(piece)?;
            if functions.last() != Some(&body) {
                functions.push(body);
                of_body.push(piece);
            }
        }
        pieces.push(of_body);
    }
    for of_body in &mut pieces {
        of_body.retain(|piece| having.get(*piece).is_some_and(|functions| (2..=COMMON).contains(&functions.len())));
    }

    // A long function shares more than a short one, and a short one a larger part.
    let weight = |code: &&[u8]| {
        let root = (code.len() as f64 + 8.0).sqrt();
        1.0 / (root * root.sqrt())
    };
    let weights: Vec<f64> = bodies.iter().map(weight).collect();
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let mut shared = vec![0_u32; bodies.len()];
    let mut in_window = vec![0_u32; having.len()];
    let (mut window, mut bytes) = (VecDeque::new(), 0);
    let mut ordered = Vec::with_capacity(bodies.len());
    while !left.is_empty() {
        let score = |body: &usize| f64::from(*shared.get(*body).unwrap_or(&0)) * weights.get(*body).unwrap_or(&0.0);
        let best = left.iter().enumerate().max_by(|(_, one), (_, other)| score(one).total_cmp(&score(other)))?.0;
        let next = left.swap_remove(best);
        ordered.push(next);
        for piece in pieces.get(next)? {
            let count = in_window.get_mut(*piece)?;
            *count += 1;
            if *count == 1 {
                for body in having.get(*piece)? {
                    *shared.get_mut(*body)? += 1;
                }
            }
        }
        window.push_back(next);
        bytes += bodies.get(next)?.len();
        while bytes > WINDOW && window.len() > 1 {
            let oldest = window.pop_front()?;
            bytes -= bodies.get(oldest)?.len();
            for piece in pieces.get(oldest)? {
                let count = in_window.get_mut(*piece)?;
                *count -= 1;
                if *count == 0 {
                    for body in having.get(*piece)? {
                        *shared.get_mut(*body)? -= 1;
                    }
                }
            }
        }
    }
    Some(ordered)
}

/// What is left to read of a module.
struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// An unsigned LEB128.
    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0_usize, 0_u32);
        loop {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                return Some(number);
            }
        }
    }

    /// Bytes after their count.
    fn counted(&mut self) -> Option<&'m [u8]> {
        let count = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn limits(&mut self) -> Option<()> {
        let flags = self.byte()?;
        self.number()?;
        if flags & 1 == 1 {
            self.number()?;
        }
        Some(())
    }
}

fn number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code that no other seed shares a piece with.
    fn code(seed: u32, length: usize) -> Vec<u8> {
        let mut state = seed;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(step).collect()
    }

    fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
        out.push(id);
        counted(out, content);
    }

    /// A module with a table and two functions from outside, and functions of these bodies.
    fn module(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        section(
            &mut module,
            2,
            b"\x04\x01e\x01f\0\0\x01e\x01t\x01\x70\x01\x01\x80\x01\x01e\x01m\x02\0\x01\x01e\x01g\0\0",
        );
        let mut content = Vec::new();
        number(&mut content, bodies.len());
        bodies.iter().for_each(|body| counted(&mut content, body));
        section(&mut module, 10, &content);
        section(&mut module, 11, b"\0");
        module
    }

    #[test]
    fn like_functions_stand_together() {
        let (one, two, three) = (code(1, 20_000), code(2, 20_000), code(3, 20_000));
        let bodies = [&one, &two, &three, &one[..15_000].to_vec(), &two[..15_000].to_vec(), &three[..15_000].to_vec()];
        let found = order(&bodies.map(Vec::as_slice)).unwrap();
        for pair in found.chunks(2) {
            assert_eq!(pair[0] % 3, pair[1] % 3, "{found:?}");
        }
    }

    #[test]
    fn what_gzip_has_forgotten_counts_for_nothing() {
        let (one, filler) = (code(1, 1_000), code(2, WINDOW));
        // All but the filler share a piece with it; the last two share more with the first, which is then out of sight.
        let with = |end: &[u8]| [&filler[..100], end].concat();
        let bodies = [with(&one), filler.clone(), with(&code(3, 10)), with(&one[..500])];
        let found = order(&bodies.each_ref().map(Vec::as_slice)).unwrap();
        assert_eq!(found.len(), 4);
        let place = |body: usize| found.iter().position(|one| *one == body).unwrap();
        assert_eq!(place(0).abs_diff(place(3)), 1, "{found:?}");
    }

    #[test]
    fn only_names_change() {
        let plain = module(&[code(1, 50), code(2, 3), code(1, 40)]);
        let mut with_names = plain.clone();
        section(&mut with_names, 0, b"\x04name\x01\x04\x01\x02\x01x");
        let found = named(&with_names).unwrap();
        assert_eq!(found, named(&plain).unwrap(), "old names go");
        let added = found.strip_prefix(plain.as_slice()).unwrap();
        let mut section = Reader(added);
        assert_eq!(section.byte(), Some(0));
        let mut content = Reader(section.counted().unwrap());
        assert_eq!((section.0, content.counted(), content.byte()), (&[][..], Some(&b"name"[..]), Some(1)));
        let mut names = Reader(content.counted().unwrap());
        let mut places = Vec::new();
        for body in 0..names.number().unwrap() {
            assert_eq!(names.number(), Some(2 + body), "functions from outside have the first numbers");
            places.push(std::str::from_utf8(names.counted().unwrap()).unwrap());
        }
        assert_eq!(places[0].len(), 6);
        places.sort_unstable();
        assert_eq!(places, ["000000", "000001", "000002"]);
    }

    #[test]
    fn what_is_no_whole_module_is_refused() {
        let whole = module(&[code(1, 50), code(2, 30)]);
        assert!(named(&whole).is_ok());
        // After the header and after the imports the sections so far are whole.
        let sections = [8, 40];
        for length in 0..whole.len() - 3 {
            assert_eq!(named(&whole[..length]).is_ok(), sections.contains(&length), "{length}");
        }
        let mut endless = whole[..8].to_vec();
        endless.extend([0xff; 30]);
        assert!(named(&endless).is_err());
    }
}
