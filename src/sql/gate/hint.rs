//! Optimizer hints that TiDB surely parses.
//!
//! At the first syntax error TiDB drops the whole comment (8.5: a warning, `Optimizer hint syntax error`), with the limits that this
//! server puts at its end. So authors may write only what is surely no error: hints of this list, in these forms, which are fewer than
//! TiDB has. <https://docs.pingcap.com/tidb/stable/optimizer-hints> and `pkg/parser/hintparser.y` of release 8.5.

/// What stands in the parentheses, after `@query_block` if that is there.
type Argument = fn(&mut Rest<'_>) -> bool;

const HINTS: &[(&[&str], Argument)] = &[
    (
        &[
            "hash_agg",
            "stream_agg",
            "mpp_1phase_agg",
            "mpp_2phase_agg",
            "agg_to_cop",
            "limit_to_cop",
            "no_index_merge",
            "read_consistent_replica",
            "use_plan_cache",
            "ignore_plan_cache",
            "straight_join",
            "semi_join_rewrite",
            "no_decorrelate",
        ],
        |_| true,
    ),
    (
        &[
            "merge_join",
            "no_merge_join",
            "tidb_smj",
            "broadcast_join",
            "shuffle_join",
            "inl_join",
            "tidb_inlj",
            "index_join",
            "no_index_join",
            "inl_hash_join",
            "index_hash_join",
            "no_index_hash_join",
            "inl_merge_join",
            "index_merge_join",
            "no_index_merge_join",
            "hash_join",
            "tidb_hj",
            "no_hash_join",
            "hash_join_build",
            "hash_join_probe",
            "swap_join_inputs",
            "no_swap_join_inputs",
            "leading",
            // Its names of an index and of columns have the form of tables.
            "hypo_index",
        ],
        |rest| rest.tables(),
    ),
    (&["merge"], |rest| rest.0.starts_with(')') || rest.tables()),
    (&["use_index", "ignore_index", "force_index", "order_index", "no_order_index", "use_index_merge"], |rest| {
        rest.table() && (!rest.symbol(',') || rest.list(|rest| rest.name()))
    }),
    (&["use_toja", "use_cascades"], |rest| matches!(rest.word(), "true" | "false")),
    (&["qb_name"], |rest| rest.name()),
    (&["nth_plan"], |rest| rest.number()),
    (&["read_from_storage"], |rest| {
        rest.list(|rest| {
            matches!(rest.word(), "tiflash" | "tikv") && rest.symbol('[') && rest.tables() && rest.symbol(']')
        })
    }),
];

/// The first hint that TiDB may not parse, if there is one; `text` is in lower case.
pub(super) fn unclear(text: &str) -> Option<&str> {
    let mut rest = Rest(text.trim_ascii());
    loop {
        let start = rest.0;
        if !rest.hint() {
            return Some(start);
        }
        if !rest.symbol(',') && rest.0.is_empty() {
            return None;
        }
    }
}

/// What is still to be read. Each of its methods takes one thing from its beginning, and the blanks after it.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn hint(&mut self) -> bool {
        let name = self.word();
        let of_name = HINTS.iter().find(|(names, _)| names.contains(&name));
        of_name.is_some_and(|(_, argument)| {
            // TiDB takes no query block where one gets its name.
            self.symbol('(') && (name == "qb_name" || self.block()) && argument(self) && self.symbol(')')
        })
    }

    fn list(&mut self, one: Argument) -> bool {
        while one(self) {
            if !self.symbol(',') {
                return true;
            }
        }
        false
    }

    fn tables(&mut self) -> bool {
        self.list(|rest| rest.table())
    }

    fn table(&mut self) -> bool {
        self.name() && (!self.symbol('.') || self.name()) && self.block()
    }

    /// `@name`, or nothing.
    fn block(&mut self) -> bool {
        match self.0.strip_prefix('@') {
            Some(rest) => {
                self.0 = rest;
                !self.word().is_empty()
            }
            None => true,
        }
    }

    /// A bare word or a name in backticks. `partition` is the one word that is no name to TiDB.
    fn name(&mut self) -> bool {
        let Some(quoted) = self.0.strip_prefix('`') else { return !matches!(self.word(), "" | "partition") };
        let plain = |character: char| character.is_alphanumeric() || "_$-. ".contains(character);
        let Some((name, rest)) = quoted.split_once('`') else { return false };
        self.0 = rest.trim_ascii_start();
        !name.is_empty() && name.chars().all(plain) && !rest.starts_with('`')
    }

    /// A bare word; empty if there is none.
    fn word(&mut self) -> &'t str {
        let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_$".contains(byte);
        match self.0.bytes().next() {
            Some(first) if first.is_ascii_lowercase() || first == b'_' => {
                self.take(self.0.bytes().take_while(is_part).count())
            }
            _ => "",
        }
    }

    /// A number that fits everywhere.
    fn number(&mut self) -> bool {
        (1..=9).contains(&self.take(self.0.bytes().take_while(u8::is_ascii_digit).count()).len())
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let rest = self.0.strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0).trim_ascii_start();
        rest.is_some()
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.0.split_at_checked(bytes).unwrap_or((self.0, ""));
        self.0 = rest.trim_ascii_start();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::unclear;

    /// What TiDB 8.5 parsed and what it did not, with a limit after it, in a query that sleeps.
    #[test]
    fn hints_are_accepted_that_tidb_surely_parses() {
        for hints in [
            "hash_agg()",
            " hash_agg ( @sel_1 ) ",
            "hash_agg(), stream_agg()",
            "hash_agg()stream_agg()\n\tleading(t , u)",
            "hash_join(t)",
            "no_hash_join(@sel_1 t, u)",
            "inl_join(shop.t@sel_1, `order`, `a b`.`表`)",
            "hash_join(match, select, max, true)",
            "merge()",
            "merge(c)",
            "use_index(t)",
            "use_index(t, i, `my idx`)",
            "ignore_index(@sel_1 shop.t, primary)",
            "use_index_merge(t@sel_1, i)",
            "use_toja(true) use_cascades(@sel_1 false)",
            "qb_name(x) nth_plan(3)",
            "read_from_storage(tiflash[t, u@sel_1], tikv[shop.v])",
            "hypo_index(t, h, a, `b`)",
        ] {
            assert_eq!(unclear(hints), None, "{hints}");
        }
        for hints in [
            "",
            " ",
            ")",
            "`",
            "'",
            "1",
            "foo 5",
            "foo()",
            "foo(t@sel_1)",
            "hash_agg",
            "hash_agg(",
            "hash_agg( ...",
            "hash_agg(t)",
            "hash_agg() )",
            "hash_agg(),",
            "hash_agg(),,stream_agg()",
            "hash_agg() foo()",
            "hash_agg() -- x",
            "`hash_agg`()",
            "\u{17f}tream_agg()",
            "\u{fb06}ream_agg()",
            "hash_join()",
            "hash_join(t u)",
            "hash_join(t,)",
            "hash_join(partition)",
            "hash_join(a.b.c)",
            "hash_join(1a)",
            "hash_join(`)",
            "hash_join(``)",
            "hash_join(`a``b`)",
            "hash_join('a')",
            "hash_join(@ sel_1 t)",
            "hash_join(t@1)",
            "hash_join(t partition(p))",
            "leading((t, u))",
            "use_index()",
            "use_index(t,)",
            "use_index(t, i@sel_1)",
            "use_toja(1)",
            "qb_name()",
            "qb_name(@x)",
            "qb_name(v, x@sel_1 .@sel_2)",
            "nth_plan()",
            "nth_plan(x)",
            "nth_plan(99999999999999999999)",
            "read_from_storage(t)",
            "read_from_storage(tidb[t])",
            "read_from_storage(tikv[t)",
            "write_slow_log",
            "time_range('a', 'b')",
        ] {
            assert!(unclear(hints).is_some(), "{hints}");
        }
        assert_eq!(unclear("hash_agg() foo(1)"), Some("foo(1)"), "the one at fault is told");
    }
}
