//! The pieces of an SVG document: text that means only itself, and the document around what is drawn.

use std::fmt::{Display, Write};

use crate::base::text::is_hidden;

/// What it looks like in light and in dark. Each colour of a series has three times the contrast of its ground
/// (WCAG 2.2, 1.4.11), and each text four and a half times.
const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#57606a}.h{font-size:15px;font-weight:600}.h,.v{fill:#1f2328}\
.e{text-anchor:end}.m{text-anchor:middle}.b{fill:#fff}.f{fill:currentColor}.l,.d,.g,.z{fill:none;stroke:currentColor}\
.l{stroke-width:2}.d{stroke-width:5}.l,.d{stroke-linecap:round;stroke-linejoin:round}.g{color:#e1e5ea}.z{color:#8c959f}\
.s0{color:#2f6fde}.s1{color:#c2500a}.s2{color:#168a5c}.s3{color:#8a4fd3}.s4{color:#a16f00}.s5{color:#c4316b}\
@media(prefers-color-scheme:dark){text{fill:#a3acb7}.h,.v{fill:#eef1f4}.b{fill:#16191d}.g{color:#2c323a}.z{color:#6e7681}\
.s0{color:#6ea8ff}.s1{color:#ff9d5c}.s2{color:#4fd39b}.s3{color:#c39bff}.s4{color:#e3bf4d}.s5{color:#ff86b3}}";

/// Colours of series.
pub(super) const COLOURS: usize = 6;

/// A document that grows.
pub(super) struct Svg(String);

impl Svg {
    /// A document with its ground.
    pub(super) fn begin(width: i128, height: i128, title: &str) -> Self {
        let mut svg = Self(String::with_capacity(4 << 10));
        svg.add(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"><title>{}</title><style>{STYLE}</style><rect class="b" width="{width}" height="{height}" rx="8"/>"#,
            Escaped(title)
        ));
        svg
    }

    /// A text; `class` says how it looks and which of its ends is at `x`.
    pub(super) fn text(&mut self, class: &str, x: i128, y: i128, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(r#" class="{class}""#) };
        self.add(format_args!(r#"<text{class} x="{x}" y="{y}">{}</text>"#, Escaped(text)));
    }

    /// A path, unless it draws nothing.
    pub(super) fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            self.add(format_args!(r#"<path class="{class}" d="{path}"/>"#));
        }
    }

    /// The colour of a series.
    pub(super) fn square(&mut self, series: usize, x: i128, y: i128) {
        self.add(format_args!(r#"<rect class="f s{series}" x="{x}" y="{y}" width="10" height="10"/>"#));
    }

    pub(super) fn end(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.0.write_fmt(part);
    }
}

/// A text as XML writes it (XML 1.0, sections 2.2 and 2.4).
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => to.write_str("&amp;")?,
                '<' => to.write_str("&lt;")?,
                '>' => to.write_str("&gt;")?,
                hidden if is_hidden(hidden) => to.write_char(char::REPLACEMENT_CHARACTER)?,
                '\u{fffe}' | '\u{ffff}' => to.write_char(char::REPLACEMENT_CHARACTER)?,
                seen => to.write_char(seen)?,
            }
        }
        Ok(())
    }
}

/// Pixels that a text takes at the most, by and large: there is no font here to measure it in.
pub(super) fn width(text: &str) -> i128 {
    text.chars().map(width_of).sum()
}

fn width_of(character: char) -> i128 {
    match character {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ' ' | ':' | '-' | '/' | '(' | ')' => 4,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 10,
        'A'..='Z' | '_' | '&' | '#' => 8,
        ' '..='~' => 7,
        _ => 12,
    }
}

/// A text that takes at most so many pixels.
pub(super) fn fitted(text: &str, pixels: i128) -> String {
    if width(text) <= pixels {
        return text.to_owned();
    }
    let mut left = pixels - width_of('…');
    let fits = |character: &char| {
        left -= width_of(*character);
        left >= 0
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}
