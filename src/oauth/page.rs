//! The pages that a person sees, without any script. Text that is not ours gets in by `Html::text` alone.

use crate::scope::Scope;

/// Where an API key is made.
const CONSOLE: &str = "https://tidbcloud.com/org-settings/api-keys";

/// HTML in the making: markup is a part of the program, everything else is escaped.
struct Html(String);

impl Html {
    /// Markup of ours.
    fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything else: fits between tags and into attributes with double quotes (HTML, section 13.1.2.3).
    fn text(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                character => self.0.push(character),
            }
        }
        self
    }

    /// An element with text in it.
    fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// `name="value"`, after a blank.
    fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }
}

/// Something wrong with a form.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Name of the field.
    pub field: &'a str,
    /// Which of the sets of keys, from 0.
    pub set: usize,
    /// What to do about it.
    pub message: &'a str,
}

/// What a person typed that is no secret.
#[derive(Clone, Copy, Default)]
pub struct KeptSet<'a> {
    /// Public key.
    pub public_key: &'a str,
    /// Name of the organization.
    pub name: &'a str,
    /// Cluster id.
    pub sql_cluster: &'a str,
    /// SQL user.
    pub sql_user: &'a str,
}

/// The consent page.
#[derive(Clone, Copy, Default)]
pub struct Consent<'a> {
    /// What the client calls itself.
    pub client_name: &'a str,
    /// Host of the client's document; `None` where it registered itself.
    pub client_id_host: Option<&'a str>,
    /// Where the answer goes.
    pub redirect_host: &'a str,
    /// Whether that is the person's own machine.
    pub redirect_is_loopback: bool,
    /// Whether a client with a name to lose is there.
    pub redirect_is_known: bool,
    /// The strongest scope that is asked for.
    pub requested: Scope,
    /// The sealed request.
    pub transaction: &'a str,
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// Of the style sheets.
    pub nonce: &'a str,
    /// Whether the access key is asked for in place of keys.
    pub owner: bool,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// What was typed the last time.
    pub kept: &'a [KeptSet<'a>],
    /// The aliases that were typed the last time.
    pub kept_aliases: &'a str,
    /// The strongest scope that was ticked the last time.
    pub kept_scope: Option<Scope>,
    /// Tries that are left, once there was one.
    pub tries_left: Option<u32>,
    /// Whether a person can sign in at TiDB Cloud instead.
    pub tidbcloud_login: bool,
    /// Host of this server.
    pub server_host: &'a str,
}

/// The page that waits for a sign-in at TiDB Cloud.
pub struct Device<'a> {
    /// Where the person signs in.
    pub verification_uri: &'a str,
    /// What is compared there.
    pub user_code: &'a str,
    /// The sealed request.
    pub transaction: &'a str,
    /// The sealed sign-in.
    pub device: &'a str,
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// Of the style sheets.
    pub nonce: &'a str,
    /// Whether it was asked before, and nobody had signed in yet.
    pub again: bool,
}

/// The form that asks whose grants shall be listed.
pub struct GrantsSignIn<'a> {
    /// Whether the access key is asked for in place of keys.
    pub owner: bool,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
}

/// The list of grants.
pub struct Grants<'a> {
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// The newest first.
    pub grants: &'a [GrantRow<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
    /// What has just happened.
    pub notice: Option<&'a str>,
}

/// One grant.
pub struct GrantRow<'a> {
    /// Its id.
    pub id: &'a str,
    /// What the client calls itself.
    pub client_name: &'a str,
    /// Host of its document, or where its answers go.
    pub client_host: &'a str,
    /// What the person called the organization; empty on an owner's deployment.
    pub organization: &'a str,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created: &'a str,
    /// When it was last used.
    pub last_used: &'a str,
}

/// What a scope allows, in words.
fn in_words(scope: Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::Read => ("Read", "List clusters and branches, look into them, and run SQL that changes nothing."),
        Scope::Write => {
            ("Change", "Create and change clusters, branches and SQL users, and run SQL that changes data.")
        }
        Scope::Destroy => (
            "Destroy",
            "Delete clusters, branches and SQL users, drop tables, delete without a condition. None of it can be undone.",
        ),
    }
}

fn begin(title: &'static str, nonce: &str, refresh: Option<&str>) -> Html {
    let mut html = Html(String::with_capacity(12 << 10));
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">");
    if let Some(target) = refresh {
        html.raw("<meta http-equiv=\"refresh\" content=\"0;url=").text(target).raw("\">");
    }
    html.raw("<title>").raw(title).raw("</title><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">");
    for sheet in ["/style.css", "/pages.css"] {
        html.raw("<link rel=\"stylesheet\"").attribute("nonce", nonce).raw(" href=\"").raw(sheet).raw("\">");
    }
    html.raw("</head><body class=\"page\"><main><h1>").raw(title).raw("</h1>");
    html
}

fn end(mut html: Html) -> String {
    html.raw("</main></body></html>");
    html.0
}

/// All that is wrong, with links to where it is.
fn problems(html: &mut Html, problems: &[Problem<'_>]) {
    if problems.is_empty() {
        return;
    }
    html.raw("<div class=\"problems\" role=\"alert\"><h2>Not yet</h2><ul>");
    for Problem { field, set, message } in problems {
        html.raw("<li><a href=\"#").text(&id(field, *set)).raw("\">").text(message).raw("</a></li>");
    }
    html.raw("</ul></div>");
}

fn id(field: &str, set: usize) -> String {
    if set == 0 { field.to_owned() } else { format!("{field}-{}", set + 1) }
}

/// How a field is asked for.
struct Field<'a> {
    name: &'static str,
    set: usize,
    label: &'static str,
    hint: &'static str,
    /// What was typed; a secret has none.
    value: Option<&'a str>,
}

fn field(html: &mut Html, field: &Field<'_>, problems: &[Problem<'_>]) {
    let id = id(field.name, field.set);
    let problem = problems.iter().find(|problem| problem.field == field.name && problem.set == field.set);
    html.raw("<div class=\"field\"><label").attribute("for", &id).raw(">").raw(field.label).raw("</label>");
    let hint = format!("{id}-hint");
    if !field.hint.is_empty() {
        html.raw("<p class=\"hint\"").attribute("id", &hint).raw(">").raw(field.hint).raw("</p>");
    }
    let described = format!("{id}-problem");
    if let Some(problem) = problem {
        html.raw("<p class=\"problem\"").attribute("id", &described).raw(">").text(problem.message).raw("</p>");
    }
    html.raw("<input").attribute("id", &id).attribute("name", field.name);
    html.raw(" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\"");
    match field.value {
        Some("") => html.raw(" type=\"text\""),
        Some(value) => html.raw(" type=\"text\"").attribute("value", value),
        None => html.raw(" type=\"password\""),
    };
    match (problem, field.hint) {
        (Some(_), "") => html.raw(" aria-invalid=\"true\"").attribute("aria-describedby", &described),
        (Some(_), _) => {
            html.raw(" aria-invalid=\"true\"").attribute("aria-describedby", &format!("{hint} {described}"))
        }
        (None, "") => html,
        (None, _) => html.attribute("aria-describedby", &hint),
    };
    html.raw("></div>");
}

fn key_fields(html: &mut Html, set: usize, kept: KeptSet<'_>, problems: &[Problem<'_>]) {
    let public = Field { name: "publicKey", set, label: "Public key", hint: "", value: Some(kept.public_key) };
    field(html, &public, problems);
    field(html, &Field { name: "privateKey", set, label: "Private key", hint: "", value: None }, problems);
}

/// One organization.
fn key_set(html: &mut Html, set: usize, kept: KeptSet<'_>, problems: &[Problem<'_>]) {
    key_fields(html, set, kept, problems);
    let hint = "Yours to choose. With several organizations, the client uses it to say which one it means.";
    let name = Field { name: "name", set, label: "Name of the organization (optional)", hint, value: Some(kept.name) };
    field(html, &name, problems);
    let typed = !kept.sql_user.is_empty() || !kept.sql_cluster.is_empty();
    let wrong = problems.iter().any(|problem| problem.set == set && problem.field.starts_with("sql"));
    html.raw(if typed || wrong { "<details open>" } else { "<details>" })
        .raw("<summary>A SQL user of your own (optional)</summary>")
        .raw("<p class=\"hint\">Only where this key may not manage SQL users. It is used on the cluster whose prefix its name carries.</p>");
    let hint = "The full name with its prefix, as in 2aEp24QWEDLqRFs.reports.";
    field(html, &Field { name: "sqlUser", set, label: "SQL user", hint, value: Some(kept.sql_user) }, problems);
    field(html, &Field { name: "sqlPassword", set, label: "Its password", hint: "", value: None }, problems);
    let hint = "A number. Left empty, any cluster that the prefix belongs to.";
    let cluster =
        Field { name: "sqlCluster", set, label: "Id of its cluster (optional)", hint, value: Some(kept.sql_cluster) };
    field(html, &cluster, problems);
    html.raw("</details>");
}

fn hidden(html: &mut Html, name: &'static str, value: &str) {
    html.raw("<input type=\"hidden\"").attribute("name", name).attribute("value", value).raw(">");
}

/// The consent page.
pub fn consent(page: &Consent<'_>) -> String {
    let mut html = begin("Connect a client to TiDB Cloud", page.nonce, None);
    problems(&mut html, page.problems);
    if let Some(left) = page.tries_left {
        html.element("<p>Tries left on this page: <strong>", &left.to_string(), "</strong>.</p>");
    }
    who_asks(&mut html, page);
    html.raw("<form method=\"post\" action=\"/consent\" autocomplete=\"off\">");
    hidden(&mut html, "transaction", page.transaction);
    hidden(&mut html, "csrf", page.csrf);
    scopes(&mut html, page);
    if page.owner {
        html.raw("<fieldset><legend>Your access key</legend>")
            .raw("<p>This server belongs to one owner. Its keys for TiDB Cloud are set already; they never reach the client.</p>");
        let hint = "What was set as MCP_ACCESS_KEY.";
        let access = Field { name: "accessKey", set: 0, label: "Access key", hint, value: None };
        field(&mut html, &access, page.problems);
        html.raw("</fieldset>");
    } else {
        organizations(&mut html, page);
    }
    aliases(&mut html, page);
    html.raw("<div class=\"decision\"><button type=\"submit\" name=\"decision\" value=\"allow\">Connect</button>");
    if page.tidbcloud_login {
        html.raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"tidbcloud\" formnovalidate>Sign in at TiDB Cloud instead</button>");
    }
    html.raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"deny\" formnovalidate>Cancel</button></div></form>");
    html.element("<p class=\"hint\">You are on <strong>", page.server_host, "</strong>. ")
        .raw("Who is connected with a key is listed, and ended, at <a href=\"/grants\">/grants</a>.</p>");
    end(html)
}

fn who_asks(html: &mut Html, page: &Consent<'_>) {
    html.raw("<section aria-labelledby=\"who\"><h2 id=\"who\">Who asks</h2><dl>");
    html.raw("<dt>The client says it is</dt><dd><strong>");
    html.text(if page.client_name.is_empty() { "(no name)" } else { page.client_name });
    html.raw("</strong><span class=\"hint\"> self-reported: any client can say this</span></dd>");
    html.raw("<dt>Described at</dt><dd>");
    match page.client_id_host {
        Some(host) => html.element("<code>", host, "</code>"),
        None => html.raw("nowhere: it registered itself"),
    };
    html.element(
        "</dd><dt>Your answer goes to</dt><dd><code class=\"place\">",
        page.redirect_host,
        "</code></dd></dl>",
    );
    if page.redirect_is_loopback {
        html.raw("<p class=\"warning\"><strong>The answer goes to a program on this computer.</strong> ")
            .raw("Go on only if you have just started connecting from a program that runs here.</p>");
    } else if page.client_id_host.is_none() && !page.redirect_is_known {
        html.raw("<p class=\"warning\"><strong>This server does not know that address.</strong> ")
            .raw("Whoever is behind it gets the access that you tick below. Go on only if you know who that is.</p>");
    }
    html.raw("</section>");
}

fn scopes(html: &mut Html, page: &Consent<'_>) {
    let chosen = page.kept_scope.unwrap_or_else(|| page.requested.min(Scope::Write));
    html.raw("<fieldset id=\"scope\"><legend>What the client may do</legend>");
    for scope in Scope::ALL {
        let (word, meaning) = in_words(scope);
        html.raw("<div class=\"choice\"><input type=\"checkbox\" name=\"scope\"").attribute("value", scope.as_str());
        html.attribute("id", word);
        // What destroys is ticked by a person, each time.
        if scope <= chosen && scope != Scope::Destroy {
            html.raw(" checked");
        }
        html.raw("><label").attribute("for", word).raw("><strong>").raw(word);
        html.raw("</strong> ").raw(meaning);
        if scope == Scope::Destroy && page.requested == Scope::Destroy {
            html.raw(" <em>The client asks for this.</em>");
        }
        html.raw("</label></div>");
    }
    html.raw("<p class=\"hint\">Each includes those above it. Whatever you tick, a client can do no more than your key.</p></fieldset>");
}

fn organizations(html: &mut Html, page: &Consent<'_>) {
    let kept = |set| page.kept.get(set).copied().unwrap_or_default();
    html.raw("<fieldset><legend>Your organization at TiDB Cloud</legend>")
        .raw("<p>An API key has the power of its role in the organization. For less, make one with a smaller role ")
        .raw("(a viewer may look, and change nothing) in the <a rel=\"noreferrer noopener\" target=\"_blank\"")
        .attribute("href", CONSOLE)
        .raw(">TiDB Cloud console</a>, under Organization Settings, API Keys.</p>")
        .raw("<p>The keys are sealed on this server and sent to TiDB Cloud alone. The client never gets them.</p>");
    key_set(html, 0, kept(0), page.problems);
    html.raw("</fieldset>");
    let in_use = |set: usize| {
        !kept(set).public_key.is_empty()
            || !kept(set).name.is_empty()
            || page.problems.iter().any(|problem| problem.set == set)
    };
    let more = 1..super::contents::SETS_MAX;
    html.raw(if more.clone().any(in_use) { "<details class=\"set\" open>" } else { "<details class=\"set\">" })
        .raw("<summary>More organizations (optional, up to four)</summary>");
    for set in more {
        html.element("<fieldset><legend>Organization ", &(set + 1).to_string(), "</legend>");
        key_set(html, set, kept(set), page.problems);
        html.raw("</fieldset>");
    }
    html.raw("</details>");
}

fn aliases(html: &mut Html, page: &Consent<'_>) {
    let problem = page.problems.iter().find(|problem| problem.field == "aliases");
    let open = problem.is_some() || !page.kept_aliases.is_empty();
    html.raw(if open { "<details class=\"set\" open>" } else { "<details class=\"set\">" })
        .raw("<summary>Short names for clusters (optional)</summary><div class=\"field\"><label for=\"aliases\">Aliases</label>")
        .raw("<p class=\"hint\" id=\"aliases-hint\">One a line: alias = cluster id.</p>");
    if let Some(problem) = problem {
        html.element("<p class=\"problem\" id=\"aliases-problem\">", problem.message, "</p>");
    }
    html.raw("<textarea id=\"aliases\" name=\"aliases\" rows=\"3\" spellcheck=\"false\" autocomplete=\"off\"");
    html.raw(if problem.is_some() {
        " aria-invalid=\"true\" aria-describedby=\"aliases-hint aliases-problem\">"
    } else {
        " aria-describedby=\"aliases-hint\">"
    });
    // A line feed right after the start tag is not part of the value (HTML, section 13.1.2.5).
    html.raw("\n").text(page.kept_aliases).raw("</textarea></div></details>");
}

/// The page that leads back to the client: by itself, and by a link where that is held up.
pub fn continue_page(target: &str, client_name: &str, nonce: &str, denied: bool) -> String {
    let mut html = begin(if denied { "Not connected" } else { "Connected" }, nonce, Some(target));
    html.raw(if denied { "<p>Nothing was allowed to " } else { "<p>Going back to " }).element(
        "<strong>",
        if client_name.is_empty() { "the client" } else { client_name },
        "</strong>.</p>",
    );
    html.raw("<p><a id=\"continue\" class=\"button\"").attribute("href", target).raw(">Continue to the client</a></p>");
    html.raw("<p class=\"hint\">When the client has the answer you can close this tab.</p>");
    end(html)
}

/// A page that says what is wrong, and leads nowhere.
pub fn error_page(error: &str, message: &str, nonce: &str) -> String {
    let mut html = begin("This did not work", nonce, None);
    html.element("<p role=\"alert\">", message, "</p>");
    html.element("<p class=\"hint\">Error code: <code>", error, "</code></p>");
    end(html)
}

/// The page that waits for a sign-in at TiDB Cloud.
pub fn device(page: &Device<'_>) -> String {
    let mut html = begin("Sign in at TiDB Cloud", page.nonce, None);
    if page.again {
        html.raw("<p class=\"problems\" role=\"alert\">TiDB Cloud says that nobody has signed in yet.</p>");
    }
    html.raw("<ol><li>Open <a rel=\"noreferrer noopener\" target=\"_blank\"").attribute("href", page.verification_uri);
    html.raw(">TiDB Cloud's page</a> in a new tab.</li><li>Compare the code: <strong class=\"place\">");
    html.text(page.user_code).raw("</strong></li><li>Allow it there, and come back here.</li></ol>");
    html.raw("<form method=\"post\" action=\"/consent\">");
    hidden(&mut html, "transaction", page.transaction);
    hidden(&mut html, "device", page.device);
    hidden(&mut html, "csrf", page.csrf);
    html.raw(
        "<div class=\"decision\"><button type=\"submit\" name=\"decision\" value=\"poll\">I have signed in</button>",
    )
    .raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"deny\">Cancel</button></div></form>");
    end(html)
}

/// The form that asks whose grants shall be listed.
pub fn grants_sign_in(page: &GrantsSignIn<'_>) -> String {
    let mut html = begin("Who is connected", page.nonce, None);
    problems(&mut html, page.problems);
    html.raw("<form method=\"post\" action=\"/grants\" autocomplete=\"off\"><fieldset><legend>Show the grants that hold a key</legend>");
    if page.owner {
        let access = Field { name: "accessKey", set: 0, label: "Access key", hint: "", value: None };
        field(&mut html, &access, page.problems);
    } else {
        html.raw("<p>The key is checked with TiDB Cloud and not kept. You stay signed in for five minutes.</p>");
        key_fields(&mut html, 0, KeptSet::default(), page.problems);
    }
    html.raw("</fieldset><div class=\"decision\"><button type=\"submit\">Show</button></div></form>");
    end(html)
}

/// The list of grants.
pub fn grants(page: &Grants<'_>) -> String {
    let mut html = begin("Who is connected", page.nonce, None);
    if let Some(notice) = page.notice {
        html.element("<p class=\"notice\" role=\"status\">", notice, "</p>");
    }
    if page.grants.is_empty() {
        html.raw("<p>No client is connected with this key.</p>");
    } else {
        html.raw("<p>Ending a grant takes effect at once, for all tokens of that client.</p><ul class=\"grants\">");
    }
    for grant in page.grants {
        let name = if grant.client_name.is_empty() { "(no name)" } else { grant.client_name };
        html.element("<li><h2>", name, "</h2><dl>");
        html.element("<dt>At</dt><dd><code class=\"place\">", grant.client_host, "</code></dd>");
        if !grant.organization.is_empty() {
            html.element("<dt>Organization</dt><dd>", grant.organization, "</dd>");
        }
        html.raw("<dt>May</dt><dd>");
        for scope in Scope::ALL.into_iter().filter(|scope| *scope <= grant.scope) {
            html.raw(if scope == Scope::Read { "" } else { ", " }).raw(in_words(scope).0);
        }
        html.element("</dd><dt>Since</dt><dd>", grant.created, "</dd>");
        html.element("<dt>Last used</dt><dd>", grant.last_used, "</dd></dl>");
        html.raw("<form method=\"post\" action=\"/grants/revoke\">");
        hidden(&mut html, "csrf", page.csrf);
        hidden(&mut html, "grant", grant.id);
        html.raw("<button type=\"submit\" class=\"second\"")
            .attribute("aria-label", &format!("End this grant: {name}"));
        html.raw(">End this grant</button></form></li>");
    }
    if !page.grants.is_empty() {
        html.raw("</ul>");
    }
    end(html)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(html: &str) -> Vec<&str> {
        // The tags without their attributes' values.
        html.split('<').skip(1).map(|rest| rest.split(['>', ' ']).next().unwrap_or_default()).collect()
    }

    fn page_with<'a>(text: &'a str, kept: &'a [KeptSet<'a>], problems: &'a [Problem<'a>]) -> Consent<'a> {
        Consent {
            client_name: text,
            client_id_host: Some(text),
            redirect_host: text,
            requested: Scope::Destroy,
            transaction: text,
            csrf: text,
            nonce: text,
            problems,
            kept,
            kept_aliases: text,
            server_host: text,
            ..Consent::default()
        }
    }

    proptest! {
        /// Whatever a client or a person wrote, it makes no element, no attribute and no script.
        #[test]
        fn text_stays_text(text in "\\PC{1,40}|[<>\"'&=/ a-z!-]{1,40}") {
            let kept = [KeptSet { public_key: &text, name: &text, sql_cluster: &text, sql_user: &text }];
            let problems = [Problem { field: "publicKey", set: 0, message: &text }];
            let plain = [KeptSet { public_key: "x", name: "x", sql_cluster: "x", sql_user: "x" }];
            let plain_problems = [Problem { field: "publicKey", set: 0, message: "x" }];
            let (odd, even) = (consent(&page_with(&text, &kept, &problems)), consent(&page_with("x", &plain, &plain_problems)));
            prop_assert_eq!(shape(&odd), shape(&even));
            prop_assert_eq!(odd.matches('"').count(), even.matches('"').count());
            let leave = |text| continue_page(text, text, "n", false);
            let refuse = |text| error_page(text, text, "n");
            let pages = [(leave(&text), leave("x")), (refuse(&text), refuse("x"))];
            for (odd, even) in &pages {
                prop_assert_eq!(shape(odd), shape(even));
            }
        }
    }

    #[test]
    fn every_field_has_a_label_and_no_secret_a_value() {
        let html = consent(&page_with("x", &[], &[]));
        for input in html.split("<input").skip(1).filter(|input| !input.contains("type=\"hidden\"")) {
            let tag = input.split('>').next().unwrap();
            let id = tag.split_once("id=\"").unwrap().1.split('"').next().unwrap();
            assert!(html.contains(&format!("<label for=\"{id}\"")), "{tag}");
            assert!(!tag.contains("type=\"password\"") || !tag.contains("value="), "{tag}");
        }
        assert_eq!(html.matches("type=\"password\"").count(), 10, "two secrets in each of five sets");
    }
}
