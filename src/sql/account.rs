//! Statements about accounts that no tool runs.

use super::{
    Reason,
    lexer::Token,
    walk::{after_parentheses, one_of},
};
use crate::base::managed_name::mentions_managed_name;

/// The roles that TiDB Cloud makes on each cluster and that managed users have (`builtinRole` of the IAM API's SQL
/// users): a change of one of them changes every managed user.
const BUILTIN_ROLES: &[&str] = &["role_readonly", "role_readwrite", "role_admin"];

/// Words for the account that runs the statement; in this server that is a managed user.
const CURRENT: &[&str] = &["current_user", "user", "session_user", "system_user"];

/// Refuses a statement about accounts that touches managed users or their roles, or opens an account. A managed user must
/// not be the definer of a view either.
pub(super) fn check(tokens: &[Token]) -> Result<(), Reason> {
    if let Some(definer) = definer(tokens)
        && let Some(name) = managed(definer)
    {
        return Err(Reason::ManagedUser(name));
    }
    let Some(first) = tokens.first() else { return Ok(()) };
    let of_accounts = tokens.iter().skip(1).take(3).find(|token| !one_of(Some(token), &["or", "replace"]));
    let grants = one_of(Some(first), &["grant", "revoke"]);
    let defines = one_of(Some(first), &["create", "alter", "drop", "rename"]) && one_of(of_accounts, &["user", "role"]);
    if !grants && !defines {
        return Ok(());
    }
    let user = one_of(of_accounts, &["user"]);
    if defines && user && (first.is("create") || tokens.iter().any(|token| token.is("unlock"))) {
        return Err(Reason::OpensAccount);
    }
    if let Some(name) = managed(tokens).or_else(|| current(tokens)) {
        return Err(Reason::ManagedUser(name));
    }
    // `GRANT role_readonly TO somebody` gives the role to somebody; the names after `TO` are changed.
    let changed = tokens.iter().position(|token| one_of(Some(token), &["to", "from"])).filter(|_| grants).unwrap_or(0);
    let role = tokens.iter().skip(changed).filter_map(Token::text).find(|name| {
        let name = name.rsplit('.').next().unwrap_or_default();
        BUILTIN_ROLES.contains(&name.trim())
    });
    role.map_or(Ok(()), |role| Err(Reason::ManagedUser(role.to_owned())))
}

/// Whether a statement may let an account do or see more: it gives rights, changes what an account must prove, gives a known
/// login another name, or takes the mask off a column. `REVOKE`, `DROP USER` and `CREATE ROLE` only take away or add what nobody has.
pub(super) fn opens(tokens: &[Token]) -> bool {
    match after_parentheses(tokens) {
        [grant, ..] if grant.is("grant") => true,
        [verb, user, ..] if user.is("user") => one_of(Some(verb), &["alter", "rename"]),
        tokens => tokens
            .windows(2)
            .any(|pair| matches!(pair, [masking, policy] if masking.is("masking") && policy.is("policy"))),
    }
}

/// What follows `DEFINER =`, up to the host of the account.
fn definer(tokens: &[Token]) -> Option<&[Token]> {
    const ACCOUNT: usize = 4; // `=`, the name, `@` and the host
    let at = tokens.iter().position(|token| token.is("definer"))? + 1;
    let rest = tokens.get(at..)?;
    rest.get(..ACCOUNT).or(Some(rest))
}

/// The managed name in one of these names and strings, or in several that a server joins.
fn managed(tokens: &[Token]) -> Option<String> {
    let is_string = |token: &Token| matches!(token, Token::Single(_) | Token::Double(_));
    tokens.chunk_by(|left, right| is_string(left) && is_string(right)).find_map(|run| {
        let name: String = run.iter().filter_map(Token::text).collect();
        mentions_managed_name(&name).then_some(name)
    })
}

/// `CURRENT_USER`, or one of the functions that name the same account.
fn current(tokens: &[Token]) -> Option<String> {
    tokens.iter().enumerate().find_map(|(at, token)| {
        let Token::Word(word) = token else { return None };
        let called = tokens.get(at + 1) == Some(&Token::Symbol('('));
        let names = word == "current_user" || called && CURRENT.contains(&word.as_str());
        names.then(|| word.clone())
    })
}

#[cfg(test)]
mod tests {
    use crate::sql::inspect;

    #[test]
    fn what_lets_an_account_do_more_is_known_before_it_runs() {
        let judged = |sql: &str| inspect(sql).unwrap_or_else(|reason| panic!("{sql}: {reason:?}"));
        for sql in [
            "GRANT SELECT ON d.* TO alice",
            "grant /* x */ readers to alice",
            "GRANT PROXY ON bob TO alice",
            "ALTER USER alice REQUIRE NONE",
            "ALTER USER IF EXISTS alice, bob PASSWORD EXPIRE NEVER",
            "ALTER USER alice FAILED_LOGIN_ATTEMPTS 0",
            "RENAME USER alice TO bob",
            "ALTER TABLE t DISABLE MASKING POLICY p",
            "ALTER TABLE t DROP MASKING POLICY p",
            "DROP MASKING POLICY p",
        ] {
            let judged = judged(sql);
            assert!(judged.opens && judged.destructive, "{sql} may let an account do or see more");
        }
        for sql in [
            "REVOKE SELECT ON d.* FROM alice",
            "DROP USER alice",
            "DROP ROLE readers",
            "CREATE ROLE readers",
            "DROP TABLE grants",
            "ALTER TABLE user DROP COLUMN masking",
            "RENAME TABLE user TO users",
            "INSERT INTO t VALUES ('GRANT SELECT ON d.* TO alice')",
            "CREATE VIEW v AS SELECT * FROM t",
        ] {
            assert!(!judged(sql).opens, "{sql} lets nobody in");
        }
    }
}
