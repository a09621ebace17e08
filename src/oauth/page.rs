//! Temporary.
use crate::scope::Scope;
/// x
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Consent<'a> {
    pub client_name: &'a str,
    pub client_id_host: Option<&'a str>,
    pub redirect_host: &'a str,
    pub redirect_is_loopback: bool,
    pub redirect_is_known: bool,
    pub requested: Scope,
    pub transaction: &'a str,
    pub csrf: &'a str,
    pub nonce: &'a str,
    pub owner: bool,
    pub problems: &'a [Problem<'a>],
    pub kept: &'a [KeptSet<'a>],
    pub kept_aliases: &'a str,
    pub kept_scope: Option<Scope>,
    pub tries_left: Option<u32>,
    pub tidbcloud_login: bool,
    pub server_host: &'a str,
}
/// x
#[allow(missing_docs)]
pub struct Problem<'a> {
    pub field: &'a str,
    pub set: usize,
    pub message: &'a str,
}
/// x
#[allow(missing_docs)]
pub struct KeptSet<'a> {
    pub public_key: &'a str,
    pub name: &'a str,
    pub sql_cluster: &'a str,
    pub sql_user: &'a str,
}
/// x
#[allow(missing_docs)]
pub struct GrantsSignIn<'a> {
    pub owner: bool,
    pub problems: &'a [Problem<'a>],
    pub nonce: &'a str,
}
/// x
#[allow(missing_docs)]
pub struct GrantRow<'a> {
    pub id: &'a str,
    pub client_name: &'a str,
    pub client_host: &'a str,
    pub organization: &'a str,
    pub scope: Scope,
    pub created: &'a str,
    pub last_used: &'a str,
}
/// x
#[allow(missing_docs)]
pub struct Grants<'a> {
    pub csrf: &'a str,
    pub grants: &'a [GrantRow<'a>],
    pub nonce: &'a str,
    pub notice: Option<&'a str>,
}
fn e(t: &str) -> String {
    t.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
/// x
pub fn consent(c: &Consent<'_>) -> String {
    let problems: String = c.problems.iter().map(|p| format!("<p role=alert>{}: {}</p>", p.field, p.message)).collect();
    format!(
        "<!doctype html><title>Connect</title><form method=\"post\" action=\"/consent\"><p>{} {}</p>{problems}<input type=\"hidden\" name=\"transaction\" value=\"{}\"><input type=\"hidden\" name=\"csrf\" value=\"{}\"><input name=\"publicKey\"><input name=\"privateKey\" type=\"password\"></form>",
        e(c.client_name),
        e(c.redirect_host),
        e(c.transaction),
        e(c.csrf)
    )
}
/// x
pub fn continue_page(target: &str, _name: &str, _nonce: &str, _denied: bool) -> String {
    format!(
        "<meta http-equiv=\"refresh\" content=\"0;url={0}\"><a id=\"continue\" href=\"{0}\">Continue</a>",
        e(target)
    )
}
/// x
pub fn error_page(error: &str, message: &str, _nonce: &str) -> String {
    format!("<h1>{error}</h1><p>{message}</p>")
}
/// x
pub fn grants_sign_in(_: &GrantsSignIn<'_>) -> String {
    String::new()
}
/// x
pub fn grants(g: &Grants<'_>) -> String {
    g.grants.iter().map(|r| format!("<form>{} {} {}</form>", r.id, r.organization, e(r.client_name))).collect()
}
