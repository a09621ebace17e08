//! The functions that tools run: an allow-list of names.

use super::{
    Reason,
    lexer::Token,
    refused,
    walk::{group, one_of},
};

/// The functions of TiDB's server (`SHOW BUILTINS`; <https://github.com/pingcap/tidb/blob/master/pkg/expression/builtin.go>,
/// with the aggregates, the window functions and the aliases of its parser), sorted.
///
/// Left out, and so refused like unknown names: functions that sleep or burn time (`SLEEP`, `BENCHMARK`), take or inspect
/// locks (`GET_LOCK`), wait for replication, read files (`LOAD_FILE`), send rows to a provider of models (`EMBED_TEXT`,
/// `VEC_EMBED_*`), show statements of other sessions (`TIDB_DECODE_SQL_DIGESTS`) or raw versions of rows without a check of
/// rights (`TIDB_MVCC_INFO`), set a variable (`SETVAR`), and the names of operators (`PLUS`).
/// `NEXTVAL` and `SETVAL` are on the list, for writes: see [`ADVANCING`].
#[rustfmt::skip]
const LISTED: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "any_value", "approx_count_distinct",
    "approx_percentile", "ascii", "asin", "atan", "atan2", "avg", "bin", "bin_to_uuid", "bit_and", "bit_count",
    "bit_length", "bit_or", "bit_xor", "cast", "ceil", "ceiling", "char", "char_length", "character_length", "charset",
    "coalesce", "coercibility", "collation", "compress", "concat", "concat_ws", "connection_id", "conv", "convert",
    "convert_tz", "cos", "cot", "count", "crc32", "cume_dist", "curdate", "current_date", "current_resource_group",
    "current_role", "current_time", "current_timestamp", "current_user", "curtime", "database", "date", "date_add",
    "date_format", "date_sub", "datediff", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "decode", "degrees",
    "dense_rank", "elt", "encode", "exp", "export_set", "extract", "field", "find_in_set", "first_value", "floor", "format",
    "format_bytes", "format_nano_time", "found_rows", "from_base64", "from_days", "from_unixtime", "fts_match_phrase",
    "fts_match_prefix", "fts_match_word", "get_format", "greatest", "group_concat", "grouping", "hex", "hour", "if",
    "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr", "interval", "is_ipv4",
    "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid", "isnull", "json_array", "json_array_append",
    "json_array_insert", "json_arrayagg", "json_contains", "json_contains_path", "json_depth", "json_extract",
    "json_insert", "json_keys", "json_length", "json_memberof", "json_merge", "json_merge_patch", "json_merge_preserve",
    "json_object", "json_objectagg", "json_overlaps", "json_pretty", "json_quote", "json_remove", "json_replace",
    "json_schema_valid", "json_search", "json_set", "json_storage_free", "json_storage_size", "json_sum_crc32",
    "json_type", "json_unquote", "json_valid", "lag", "last_day", "last_insert_id", "last_value", "lastval", "lcase", "lead",
    "least", "left", "length", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad",
    "ltrim", "make_set", "makedate", "maketime", "mask_date", "mask_full", "mask_null", "mask_partial", "max", "md5",
    "microsecond", "mid", "min", "minute", "mod", "month", "monthname", "name_const", "nextval", "now", "nth_value",
    "ntile", "nullif", "oct", "octet_length", "ord", "percent_rank", "period_add", "period_diff", "pi", "position", "pow",
    "power", "quarter", "quote", "radians", "rand", "random_bytes", "rank", "regexp_instr", "regexp_like",
    "regexp_replace", "regexp_substr", "repeat", "replace", "reverse", "right", "round", "row_count", "row_number",
    "rpad", "rtrim", "schema", "sec_to_time", "second", "session_user", "setval", "sha", "sha1", "sha2", "sign", "sin",
    "sm3", "soundex", "space", "sqrt", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date", "strcmp", "subdate",
    "substr", "substring", "substring_index", "subtime", "sum", "sysdate", "system_user", "tan",
    "tidb_bounded_staleness", "tidb_current_tso", "tidb_decode_base64_key", "tidb_decode_binary_plan",
    "tidb_decode_key", "tidb_decode_plan", "tidb_encode_index_key", "tidb_encode_record_key", "tidb_encode_sql_digest",
    "tidb_is_ddl_owner", "tidb_parse_tso", "tidb_parse_tso_logical", "tidb_row_checksum", "tidb_shard", "tidb_version",
    "time", "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff", "to_base64",
    "to_days", "to_seconds", "translate", "trim", "truncate", "ucase", "uncompress", "uncompressed_length", "unhex",
    "unix_timestamp", "upper", "user", "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_short", "uuid_timestamp",
    "uuid_to_bin", "uuid_v4", "uuid_v7", "uuid_version", "validate_password_strength", "var_pop", "var_samp", "variance",
    "vec_as_text", "vec_cosine_distance", "vec_dims", "vec_from_text", "vec_l1_distance", "vec_l2_distance",
    "vec_l2_norm", "vec_negative_inner_product", "version", "vitess_hash", "week", "weekday", "weekofyear",
    "weight_string", "year", "yearweek",
];

/// Functions that advance a sequence: a read that calls one is a write.
pub(super) const ADVANCING: &[&str] = &["nextval", "setval"];

/// Bare words that a parenthesis may follow without a call, sorted: operators, clauses, types. As keywords of TiDB's
/// grammar they cannot be called; quoted, or after a dot, they are names like others.
#[rustfmt::skip]
const SYNTAX: &[&str] = &[
    "add", "against", "all", "analyze", "and", "any", "as", "auto_random", "bernoulli", "between", "bigint", "binary", "bit", "blob", "bool",
    "boolean", "both", "btree", "by", "case", "character", "check", "column", "columns", "datetime", "dec", "decimal", "default", "delete",
    "desc", "describe", "distinct", "distinctrow", "div", "double", "else", "enum", "except", "exists", "explain", "fixed",
    "float", "float4", "float8", "for", "from", "fulltext", "hash", "having", "hnsw", "ilike", "in", "index", "int", "int1", "int2",
    "int3", "int4", "int8", "integer", "intersect", "into", "inverted", "join", "key", "leading", "like", "list", "longblob",
    "longtext", "match", "mediumblob", "mediumint", "mediumtext", "middleint", "nchar", "not", "numeric", "nvarchar", "of",
    "on", "or", "over", "partition", "precision", "range", "real", "references", "regexp", "regions", "rlike", "row", "rtree",
    "select", "set", "smallint", "some", "sql_big_result", "sql_buffer_result", "sql_cache", "sql_calc_found_rows",
    "sql_no_cache", "sql_small_result", "straight_join", "subpartition", "switch_group", "system", "tablesample", "text", "than", "then", "tinyblob",
    "tinyint", "tinytext", "trailing", "union", "unique", "update", "using", "value", "values", "varbinary", "varchar", "varcharacter",
    "varying", "vector", "when", "where", "xor",
];

/// Whether a function of this name, in lower case, is run.
pub(super) fn is_listed(name: &str) -> bool {
    LISTED.binary_search(&name).is_ok()
}

/// Why a function of this name is not run.
pub(super) fn reason(name: &str) -> Reason {
    const LOCKS: &[&str] = &["get_lock", "is_free_lock", "is_used_lock", "release_all_locks", "release_lock"];
    match name {
        "lateral" => Reason::Missing("LATERAL".to_owned()),
        _ if LOCKS.contains(&name) => Reason::Session(name.to_owned(), refused::LOCKED),
        _ => Reason::Function(name.to_owned()),
    }
}

/// The first called name that is not on the list. A call is a name, quoted or not, with or without a schema, right before a
/// parenthesis, unless the grammar expects a list of columns there.
pub(super) fn unlisted_call(tokens: &[Token]) -> Option<&str> {
    let indexed = indexed_table(tokens);
    // The opening parentheses around a place.
    let mut open = Vec::new();
    tokens.iter().enumerate().find_map(|(at, token)| {
        match token {
            Token::Symbol('(') => open.push(at),
            Token::Symbol(')') => drop(open.pop()),
            _ => {}
        }
        let name = token.name()?;
        if tokens.get(at + 1) != Some(&Token::Symbol('(')) || is_listed(name) {
            return None;
        }
        let start = start_of_name(tokens, at);
        let keyword = start == at && matches!(token, Token::Word(word) if SYNTAX.binary_search(&word.as_str()).is_ok());
        let harmless = keyword
            || at == 0 && token.is("trace")
            || indexed == Some(at)
            || names_a_list(tokens, start, at)
            || is_format(tokens, at)
            || is_prefix_length(tokens, at, open.last().copied(), indexed);
        (!harmless).then_some(name)
    })
}

/// The start of the qualified name that ends here.
fn start_of_name(tokens: &[Token], at: usize) -> usize {
    let mut start = at;
    while start >= 2
        && tokens.get(start - 1) == Some(&Token::Symbol('.'))
        && tokens.get(start - 2).is_some_and(|part| part.name().is_some())
    {
        start -= 2;
    }
    start
}

/// The token before this place, ignoring hints.
fn before(tokens: &[Token], at: usize) -> Option<(usize, &Token)> {
    let earlier = tokens.get(..at)?.iter().enumerate();
    earlier.rev().find(|(_, token)| !matches!(token, Token::Hint(_)))
}

/// Whether the grammar expects a list after this name: the columns of a table, an index, a view or a query, or a partition's
/// parts. The words before it are reserved, or a call after them is a syntax error.
fn names_a_list(tokens: &[Token], start: usize, at: usize) -> bool {
    let Some((place, word)) = before(tokens, start) else { return false };
    let after_verb = || {
        let verb = before(tokens, place).map(|(_, token)| token);
        one_of(Some(word), &["low_priority", "high_priority", "delayed"]) && one_of(verb, &["insert", "replace"])
    };
    one_of(
        Some(word),
        &[
            "into",
            "insert",
            "replace",
            "ignore",
            "table",
            "exists",
            "references",
            "key",
            "index",
            "unique",
            "fulltext",
            "view",
            "partition",
            "subpartition",
        ],
    ) || after_verb()
        || names_columns_of_query(tokens, start, at)
}

/// `WITH name (columns) AS (` and `, name (columns) AS (`.
fn names_columns_of_query(tokens: &[Token], start: usize, at: usize) -> bool {
    let Some((columns, rest)) = tokens.get(at + 1..).and_then(group) else { return false };
    let only_names = columns.iter().all(|token| token.name().is_some() || *token == Token::Symbol(','));
    let before = start.checked_sub(1).and_then(|before| tokens.get(before));
    if !only_names || start != at {
        return false;
    }
    let defined = one_of(rest.first(), &["as"]) && rest.get(1) == Some(&Token::Symbol('('));
    let listed = one_of(before, &["with", "recursive"]) || before == Some(&Token::Symbol(','));
    defined && listed
}

/// The end of the table name in `CREATE [kind] INDEX name [USING kind] ON table (`.
fn indexed_table(tokens: &[Token]) -> Option<usize> {
    let index = tokens.iter().take(4).position(|token| token.is("index"))?;
    if !tokens.first()?.is("create") {
        return None;
    }
    let on = index + tokens.get(index..)?.iter().position(|token| token.is("on"))?;
    let list = on + tokens.get(on..)?.iter().position(|token| *token == Token::Symbol('('))?;
    let table = list.checked_sub(1)?;
    (start_of_name(tokens, table) == on + 1).then_some(table)
}

/// `EXPLAIN [ANALYZE] FORMAT = name (query)`.
fn is_format(tokens: &[Token], at: usize) -> bool {
    let format = at.checked_sub(2);
    matches!(format, Some(1 | 2))
        && one_of(tokens.first(), &["explain", "desc", "describe"])
        && one_of(format.and_then(|format| tokens.get(format)), &["format"])
        && tokens.get(at - 1) == Some(&Token::Symbol('='))
}

/// A column with the length of its prefix, `name(10)`, directly in the list of an index, which opens at `list`: an expression has parentheses
/// of its own there.
fn is_prefix_length(tokens: &[Token], at: usize, list: Option<usize>, indexed: Option<usize>) -> bool {
    let Some([Token::Symbol('('), Token::Number(_), Token::Symbol(')'), next, ..]) = tokens.get(at + 1..) else {
        return false;
    };
    let ends = matches!(next, Token::Symbol(',' | ')')) || one_of(Some(next), &["asc", "desc"]);
    let begins = at.checked_sub(1).and_then(|before| tokens.get(before));
    if !ends || !matches!(begins, Some(Token::Symbol('(' | ','))) || !one_of(tokens.first(), &["create", "alter"]) {
        return false;
    }
    let Some(owner) = list.and_then(|open| open.checked_sub(1)) else { return false };
    if indexed == Some(owner) || one_of(tokens.get(owner), &["key", "index", "unique", "fulltext"]) {
        return true;
    }
    let introduced = owner.checked_sub(1).and_then(|before| tokens.get(before));
    if one_of(introduced, &["using", "type"]) {
        return one_of(tokens.get(owner), &["btree", "hash", "rtree", "hnsw", "inverted"]);
    }
    // `id INT KEY AS (...)` and `UNIQUE CHECK (...)` name no index.
    let clause = matches!(tokens.get(owner), Some(Token::Word(word)) if SYNTAX.binary_search(&word.as_str()).is_ok());
    let if_not_exists = introduced.is_some_and(|word| word.is("exists"))
        && owner.checked_sub(4).is_some_and(|word| one_of(tokens.get(word), &["key", "index"]));
    !clause && (if_not_exists || one_of(introduced, &["key", "index", "unique", "fulltext"]))
}

#[cfg(test)]
mod tests {
    use super::{ADVANCING, LISTED, SYNTAX, is_listed};

    #[test]
    fn the_lists_can_be_searched_and_do_not_overlap() {
        assert!(LISTED.is_sorted() && SYNTAX.is_sorted());
        assert!(SYNTAX.iter().all(|word| !is_listed(word)));
        assert!(ADVANCING.iter().all(|name| is_listed(name)));
    }
}
