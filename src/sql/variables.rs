//! System variables that hold secrets, and the tables that print them.

use super::{Reason, lexer::Token, walk::one_of};

/// Parts of the names of variables that hold a key, a password, a token, or an address with one in it:
/// `tidb_exp_embed_openai_api_key`, `authentication_ldap_simple_bind_root_pwd`, `tidb_cloud_storage_uri`. `tidb_config` is
/// the whole configuration.
const SECRET: &[&str] = &[
    "key",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "private",
    "uri",
    "url",
    "tidb_config",
];

/// Parts of names that contain such a word without holding a secret.
const HARMLESS: &[&str] = &[
    "foreign_key",
    "primary_key",
    "key_buffer",
    "key_cache",
    "key_write",
    "validate_password",
    "password_history",
    "password_reuse",
    "password_lifetime",
    "expired_password",
    "token_size",
    "security",
];

/// Tables that print all variables, including the secret ones.
const TABLES: &[&str] = &[
    "session_variables",
    "global_variables",
    "variables_info",
    "variables_by_thread",
    "persisted_variables",
    "cluster_config",
];

/// The schemas that have them; without a schema it is the selected one.
const SCHEMAS: &[&str] = &["information_schema", "performance_schema", "metrics_schema", "sys"];

/// Whether a system variable of this name is assumed to hold a secret: a rule on names, because providers and their keys
/// change.
pub fn holds_secret(variable: &str) -> bool {
    let mut name = variable.to_ascii_lowercase();
    for harmless in HARMLESS {
        name = name.replace(harmless, "");
    }
    SECRET.iter().any(|word| name.contains(word))
}

/// Refuses a statement that names a variable with a secret (`@@name`, `@@GLOBAL.name`, quoted or not), or a table that
/// prints all variables.
pub(super) fn check(tokens: &[Token]) -> Result<(), Reason> {
    let (mark, dot) = (Token::Symbol('@'), Token::Symbol('.'));
    for (at, token) in tokens.iter().enumerate() {
        let before = |places: usize| at.checked_sub(places).and_then(|place| tokens.get(place));
        if *token == mark && before(1) == Some(&mark) {
            for part in tokens.get(at + 1..).unwrap_or_default().chunks(2) {
                let Some(text) = part.first().and_then(Token::text) else { break };
                if holds_secret(text) {
                    return Err(Reason::SecretVariable(text.to_owned()));
                }
                if part.get(1) != Some(&dot) {
                    break;
                }
            }
        }
        let Some(name) = token.name() else { continue };
        let qualifier = if before(1) == Some(&dot) { before(2).and_then(Token::name) } else { None };
        if TABLES.contains(&name) && qualifier.is_none_or(|schema| SCHEMAS.contains(&schema)) {
            return Err(Reason::VariableTable(name.to_owned()));
        }
    }
    Ok(())
}

/// The tokens after `SHOW [scope] VARIABLES`, if this is one.
pub(super) fn shown(tokens: &[Token]) -> Option<&[Token]> {
    let [show, rest @ ..] = tokens else { return None };
    let scope = |token: &&Token| one_of(Some(token), &["full", "extended", "global", "session", "local"]);
    let rest = rest.get(rest.iter().take_while(scope).count()..)?;
    (show.is("show") && one_of(rest.first(), &["variables"])).then(|| rest.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

    #[test]
    fn a_secret_is_known_by_its_name() {
        for secret in [
            "tidb_exp_embed_openai_api_key",
            "TIDB_EXP_EMBED_JINA_AI_API_KEY",
            "authentication_ldap_sasl_bind_root_pwd",
            "sha256_password_private_key_path",
            "tidb_cloud_storage_uri",
            "report_password",
            "some_provider_access_token",
            "foreign_key_secret",
            "tidb_config",
        ] {
            assert!(holds_secret(secret), "{secret}");
        }
        for harmless in [
            "foreign_key_checks",
            "tidb_enable_foreign_key",
            "sql_require_primary_key",
            "validate_password.policy",
            "password_reuse_interval",
            "default_password_lifetime",
            "innodb_ft_min_token_size",
            "delay_key_write",
            "sql_mode",
            "version",
            "tidb_mem_quota_query",
        ] {
            assert!(!holds_secret(harmless), "{harmless}");
        }
    }
}
