//! The names of managed SQL users: for the code that makes the users and the code that keeps others from touching them.

/// The start of managed names.
///
/// `mcp_` + class (2) + `_` + hash (8) are 15 characters; with a prefix of 15, as TiDB Cloud makes them, and the dot
/// that is 31, and MySQL allows 32.
pub const START: &str = "mcp_";

/// The classes in names: reader, writer, administrator.
pub const CLASSES: [&str; 3] = ["ro", "rw", "ad"];

/// Bytes of the hash in a name: 4 make 8 characters. Two of a cluster's deployments share a name once in 2^32.
pub const HASH_BYTES: usize = 4;

/// Whether a SQL user of this name, with or without a cluster's prefix, is managed, by any deployment. Case does not
/// count: whether TiDB Cloud distinguishes names by case is not published.
pub fn is_managed_name(name: &str) -> bool {
    let name = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    begins_with_one(&name) && name.len() == START.len() + 3 + HASH_BYTES * 2
}

/// Whether a lower-case text contains a managed name: whole, with a prefix, or with something after it.
pub fn mentions_managed_name(text: &str) -> bool {
    text.match_indices(START).any(|(at, _)| begins_with_one(text.get(at..).unwrap_or_default()))
}

fn begins_with_one(text: &str) -> bool {
    let Some((class, rest)) = text.strip_prefix(START).and_then(|rest| rest.split_once('_')) else { return false };
    let hash = rest.as_bytes().get(..HASH_BYTES * 2);
    CLASSES.contains(&class)
        && hash.is_some_and(|hash| hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::{is_managed_name, mentions_managed_name};

    #[test]
    fn a_name_is_ours_only_whole_and_is_mentioned_in_any_company() {
        assert!(is_managed_name("MCP_Ro_0123ABCD"));
        for ours in ["mcp_ro_0123abcd", "2aEp24QWEDLqRFs.mcp_rw_92f664ae", "mcp_ad_00000000"] {
            assert!(is_managed_name(ours) && mentions_managed_name(ours), "{ours}");
            let company = format!("x{ours}y@%");
            assert!(!is_managed_name(&company) && mentions_managed_name(&company), "{company}");
        }
        for other in
            ["", "mcp_", "mcp_ro_", "mcp_ro_0123abc", "mcp_xx_0123abcd", "mcp_ro_0123abcg", "mcp_ro_0123ab\u{e9}"]
        {
            assert!(!is_managed_name(other) && !mentions_managed_name(other), "{other}");
        }
    }
}
