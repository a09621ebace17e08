//! Names and texts as statements write them.

use std::borrow::Cow;

/// The reserved words of TiDB 8.5: `SELECT WORD FROM information_schema.KEYWORDS WHERE RESERVED = 1`.
const RESERVED: &str = "\
    add all alter analyze and array as asc between bigint binary blob both by call cascade case change char \
    character check collate column constraint continue convert create cross cume_dist current_date current_role \
    current_time current_timestamp current_user cursor database databases day_hour day_microsecond day_minute \
    day_second decimal default delayed delete dense_rank desc describe distinct distinctrow div double drop dual \
    else elseif enclosed escaped except exists exit explain false fetch first_value float float4 float8 for force \
    foreign from fulltext generated grant group groups having high_priority hour_microsecond hour_minute hour_second \
    if ignore ilike in index infile inner inout insert int int1 int2 int3 int4 int8 integer intersect interval into \
    is iterate join key keys kill lag last_value lead leading leave left like limit linear lines load localtime \
    localtimestamp lock long longblob longtext low_priority match maxvalue mediumblob mediumint mediumtext middleint \
    minute_microsecond minute_second mod natural no_write_to_binlog not nth_value ntile null numeric of on optimize \
    option optionally or order out outer outfile over partition percent_rank precision primary procedure range rank \
    read real recursive references regexp release rename repeat replace require restrict revoke right rlike row \
    row_number rows second_microsecond select set show smallint spatial sql sql_big_result sql_calc_found_rows \
    sql_small_result sqlexception sqlstate sqlwarning ssl starting stored straight_join table tablesample terminated \
    then tidb_current_tso tinyblob tinyint tinytext to trailing trigger true union unique unlock unsigned until \
    update usage use using utc_date utc_time utc_timestamp values varbinary varchar varcharacter varying virtual \
    when where while window with write xor year_month zerofill \
";

/// A name as a statement can use it: bare if that is safe, otherwise in backticks.
pub fn shortest_name(name: &str) -> Cow<'_, str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bare = name.bytes().all(word)
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !RESERVED.split(' ').any(|reserved| reserved.eq_ignore_ascii_case(name));
    if bare { name.into() } else { format!("`{}`", name.replace('`', "``")).into() }
}

/// A text as a literal that no mode of the server reads differently: a quote is doubled, and a text with a backslash is written
/// by its bytes.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        return text.bytes().fold("_utf8mb4 0x".to_owned(), |literal, byte| format!("{literal}{byte:02x}"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{literal, shortest_name};

    #[test]
    fn a_name_is_quoted_only_where_it_must_be() {
        for bare in ["id", "placed_at", "_x9", "Name", "status"] {
            assert_eq!(shortest_name(bare), bare, "needs no quotes");
        }
        for (name, quoted) in
            [("key", "`key`"), ("ORDER", "`ORDER`"), ("2x", "`2x`"), ("a b", "`a b`"), ("a`b", "`a``b`"), ("", "``")]
        {
            assert_eq!(shortest_name(name), quoted, "would be read as something else");
        }
    }

    #[test]
    fn a_literal_is_the_same_in_every_mode() {
        assert_eq!((&*literal("shop"), &*literal("it's")), ("'shop'", "'it''s'"));
        assert_eq!(literal("a\\'"), "_utf8mb4 0x615c27", "a backslash escapes in some modes only");
    }
}
