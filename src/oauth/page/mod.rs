//! The pages that a person sees, without any script. Foreign text enters only through `Html::text`.

pub mod confirm;
mod step_up;

pub use self::step_up::{StepUp, step_up};
use crate::{base::scope::Scope, catalogue::Toolset, store::grant::Presence};

/// Where an API key is made.
const CONSOLE: &str = "https://tidbcloud.com/org-settings/api-keys";

/// Title of the page that lists grants.
const WHO: &str = "Who is connected";

/// At a box that is never pre-ticked, when the page comes back.
const TICKED_BEFORE: &str = " <em>You ticked this: tick it again if you mean it.</em>";

/// An HTML builder: markup is part of the program, everything else is escaped.
struct Html(String);

impl Html {
    /// Markup of the program.
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

/// A problem with a form.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Name of the field.
    pub field: &'a str,
    /// Which of the sets of keys, from 0.
    pub set: usize,
    /// What to do about it.
    pub message: &'a str,
}

/// Fields that a person typed, without secrets.
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
    /// Host of the client's document; `None` if it registered itself.
    pub client_id_host: Option<&'a str>,
    /// Where the answer goes.
    pub redirect_host: &'a str,
    /// Whether that is the person's own machine.
    pub redirect_is_loopback: bool,
    /// Whether a well-known client is there.
    pub redirect_is_known: bool,
    /// Whether an application claims the scheme.
    pub redirect_is_app: bool,
    /// The strongest scope that is asked for.
    pub requested: Scope,
    /// How the address that the client connects to narrows the tools, in words; empty for all.
    pub narrowed: &'a [(&'static str, String)],
    /// The toolsets among which the person may choose.
    pub toolsets: &'a [Toolset],
    /// Whether the address names them, so that all of them are listed and no others are found.
    pub names_toolsets: bool,
    /// The sealed request.
    pub transaction: &'a str,
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// Of the style sheets.
    pub nonce: &'a str,
    /// Whether the access key is asked for in place of keys.
    pub owner: bool,
    /// Whether a sandbox stands in for TiDB Cloud.
    pub sandbox: bool,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Whether something can be changed within the address.
    pub can_change: bool,
    /// What was ticked the last time about who is asked.
    pub kept_presence: &'a [&'a str],
    /// The toolsets that were ticked the last time.
    pub kept_toolsets: &'a [&'a str],
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
    /// Why the keys are asked for again, if this browser connected the client before and it asks for more now.
    pub keys_again: &'a str,
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
    /// Whether the person has just signed out.
    pub signed_out: bool,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
}

/// The list of grants.
#[derive(Clone, Copy)]
pub struct Grants<'a> {
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// The newest first.
    pub grants: &'a [GrantRow<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
    /// What has just happened.
    pub notice: Option<&'a str>,
    /// What the page is for.
    pub step: Step,
}

/// A step on the way to ending grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All grants are listed, each with a button.
    List,
    /// Those that are to be ended are listed, with a button that ends them.
    Confirm,
    /// Several were ended, and what is left is behind a link: listing it as well would be too much for one request.
    Ended,
}

/// One grant.
#[derive(Clone, Copy)]
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
    /// Who is asked.
    pub presence: Presence,
    /// When it was made.
    pub created: &'a str,
    /// When it was last used.
    pub last_used: &'a str,
    /// When it ends if nobody uses it any more, within an hour: what counts is when its tokens were last renewed.
    pub ends_idle: &'a str,
    /// When it ends in any case.
    pub ends: &'a str,
}

/// What a scope allows, in words.
fn in_words(scope: Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::Read => ("Read", "List clusters and branches, look into them, and run SQL that changes nothing."),
        Scope::Write => (
            "Change",
            "Create and change clusters, branches and SQL users, set spending limits, and run SQL that changes data. This can cost \
             money: TiDB Cloud charges for what clusters store and run.",
        ),
        Scope::Destroy => (
            "Destroy",
            "Delete clusters, branches and SQL users, drop tables, delete without a condition: none of it can be undone.",
        ),
    }
}

/// The part above a page's own content.
#[derive(Clone, Copy, Default)]
struct Top<'a> {
    title: &'a str,
    nonce: &'a str,
    /// Where the browser goes by itself.
    refresh: Option<&'a str>,
    problems: &'a [Problem<'a>],
    /// Whether secrets are typed on it.
    takes_secrets: bool,
    tries_left: Option<u32>,
}

fn begin(top: &Top<'_>) -> Html {
    let mut html = Html(String::with_capacity(16 << 10));
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">");
    if let Some(target) = top.refresh {
        html.raw("<meta http-equiv=\"refresh\" content=\"0;url=").text(target).raw("\">");
    }
    // A screen reader says the title first.
    html.raw(if top.problems.is_empty() { "<title>" } else { "<title>Problem: " }).text(top.title);
    html.raw("</title><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">");
    for sheet in ["/style.css", "/pages.css"] {
        html.raw("<link rel=\"stylesheet\"").attribute("nonce", top.nonce).raw(" href=\"").raw(sheet).raw("\">");
    }
    html.raw("</head><body class=\"page\"><header><img src=\"/favicon.svg\" alt=\"\" width=\"28\" height=\"28\">")
        .raw("TiDB Cloud MCP Server</header><main><h1>")
        .text(top.title)
        .raw("</h1>");
    problems(&mut html, top);
    html
}

fn end(mut html: Html) -> String {
    html.raw("</main></body></html>");
    html.0
}

/// All problems, with links to their fields.
fn problems(html: &mut Html, top: &Top<'_>) {
    if top.problems.is_empty() {
        return;
    }
    html.raw("<div class=\"problems\" role=\"alert\"><h2>There is a problem</h2><ul>");
    for Problem { field, set, message } in top.problems {
        html.raw("<li><a href=\"#").text(&id(field, *set)).raw("\">").text(message).raw("</a></li>");
    }
    html.raw("</ul>");
    if top.takes_secrets {
        html.raw("<p>Secrets are never filled in again: type them once more.");
        if let Some(left) = top.tries_left {
            html.element(" Tries left: <strong>", &left.to_string(), "</strong>.");
        }
        html.raw("</p>");
    }
    html.raw("</div>");
}

fn id(field: &str, set: usize) -> String {
    if set == 0 { field.to_owned() } else { format!("{field}-{}", set + 1) }
}

/// A field of a form.
struct Field<'a> {
    name: &'a str,
    set: usize,
    label: &'a str,
    hint: &'static str,
    /// The typed value; a secret has none.
    value: Option<&'a str>,
}

fn problem_at<'a>(problems: &'a [Problem<'a>], field: &str, set: usize) -> Option<&'a Problem<'a>> {
    problems.iter().find(|problem| problem.field == field && problem.set == set)
}

/// The problems of a field, before it.
fn message(html: &mut Html, id: &str, problem: Option<&Problem<'_>>) {
    if let Some(problem) = problem {
        html.raw("<p class=\"problem\" id=\"").text(id).element("-problem\">", problem.message, "</p>");
    }
}

/// Ties a field, or a group of fields, to its hint and its problem.
fn described(html: &mut Html, id: &str, hint: bool, problem: Option<&Problem<'_>>) {
    if problem.is_some() || hint {
        html.raw(" aria-describedby=\"");
        if hint {
            html.text(id).raw(if problem.is_some() { "-hint " } else { "-hint" });
        }
        if problem.is_some() {
            html.text(id).raw("-problem");
        }
        html.raw("\"");
    }
}

fn field(html: &mut Html, field: &Field<'_>, problems: &[Problem<'_>]) {
    let id = id(field.name, field.set);
    let problem = problem_at(problems, field.name, field.set);
    html.raw("<div class=\"field\"><label").attribute("for", &id).raw(">").text(field.label).raw("</label>");
    if !field.hint.is_empty() {
        html.raw("<p class=\"hint\" id=\"").text(&id).raw("-hint\">").raw(field.hint).raw("</p>");
    }
    message(html, &id, problem);
    html.raw("<input").attribute("id", &id).attribute("name", field.name);
    html.raw(" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\"");
    match field.value {
        Some("") => html.raw(" type=\"text\""),
        Some(value) => html.raw(" type=\"text\"").attribute("value", value),
        None => html.raw(" type=\"password\""),
    };
    described(html, &id, !field.hint.is_empty(), problem);
    html.raw(if problem.is_some() { " aria-invalid=\"true\"></div>" } else { "></div>" });
}

fn key_fields(html: &mut Html, set: usize, kept: KeptSet<'_>, problems: &[Problem<'_>]) {
    let public = Field { name: "publicKey", set, label: "Public key", hint: "", value: Some(kept.public_key) };
    field(html, &public, problems);
    field(html, &Field { name: "privateKey", set, label: "Private key", hint: "", value: None }, problems);
}

/// The key of an owner's deployment.
fn access_key(html: &mut Html, problems: &[Problem<'_>]) {
    let hint = "The value of MCP_ACCESS_KEY.";
    field(html, &Field { name: "accessKey", set: 0, label: "Access key", hint, value: None }, problems);
}

/// A fold; gives back whether it is open.
fn fold(html: &mut Html, open: bool, summary: &'static str) -> bool {
    html.raw(if open { "<details class=\"set\" open><summary>" } else { "<details class=\"set\"><summary>" })
        .raw(summary)
        .raw("</summary>");
    open
}

fn name_field(html: &mut Html, set: usize, kept: KeptSet<'_>, problems: &[Problem<'_>]) {
    let hint = "You choose it. The client uses it to say which organization it means.";
    field(
        html,
        &Field { name: "name", set, label: "Name of the organization (optional)", hint, value: Some(kept.name) },
        problems,
    );
}

/// A SQL user of the person's own; gives back whether the fold is open.
fn sql_user(html: &mut Html, set: usize, kept: KeptSet<'_>, problems: &[Problem<'_>]) -> bool {
    let typed = !kept.sql_user.is_empty() || !kept.sql_cluster.is_empty();
    let wrong = problems.iter().any(|problem| problem.set == set && problem.field.starts_with("sql"));
    let open = fold(html, typed || wrong, "A SQL user of your own");
    html.raw("<p class=\"hint\">Needed only if this key cannot manage SQL users. It is used on the cluster whose prefix is in its name.</p>");
    let hint = "The full name with its prefix, as in 2aEp24QWEDLqRFs.reports.";
    field(html, &Field { name: "sqlUser", set, label: "SQL user", hint, value: Some(kept.sql_user) }, problems);
    field(html, &Field { name: "sqlPassword", set, label: "Its password", hint: "", value: None }, problems);
    let hint = "A number. If empty, any cluster that the prefix belongs to.";
    let cluster =
        Field { name: "sqlCluster", set, label: "Id of its cluster (optional)", hint, value: Some(kept.sql_cluster) };
    field(html, &cluster, problems);
    html.raw("</details>");
    open
}

fn hidden(html: &mut Html, name: &'static str, value: &str) {
    html.raw("<input type=\"hidden\"").attribute("name", name).attribute("value", value).raw(">");
}

/// The consent page.
pub fn consent(page: &Consent<'_>) -> String {
    let Consent { nonce, problems, tries_left, .. } = *page;
    let title = "Connect a client to TiDB Cloud";
    let mut html = begin(&Top { title, nonce, problems, takes_secrets: true, tries_left, ..Top::default() });
    who_asks(&mut html, page);
    if !page.keys_again.is_empty() {
        let (what, keep) = match *page {
            Consent { owner: true, .. } => ("the access key", "it"),
            Consent { tidbcloud_login: true, .. } => ("your keys, or a sign-in at TiDB Cloud,", "keys"),
            _ => ("your keys", "them"),
        };
        html.raw("<div class=\"notice\"><p>You connected this client before. It takes ").raw(what);
        html.element(" again to allow it more, because ", page.keys_again, ". Keep ").raw(keep);
        html.raw(" in your password manager.</p></div>");
    }
    html.raw("<form method=\"post\" action=\"/consent\" autocomplete=\"off\">");
    hidden(&mut html, "transaction", page.transaction);
    hidden(&mut html, "csrf", page.csrf);
    scopes(&mut html, page);
    if page.owner {
        html.raw("<fieldset><legend>Your access key</legend>")
            .raw("<p>This server belongs to one owner. Its keys for TiDB Cloud are set already; they never reach the client.</p>");
        access_key(&mut html, page.problems);
        html.raw("</fieldset>");
    } else {
        keys(&mut html, page);
    }
    let mut more = Html(String::new());
    let open = options(&mut more, page);
    fold(&mut html, open, "More options");
    html.0.push_str(&more.0);
    html.raw("</details>");
    html.raw("<div class=\"decision\"><button type=\"submit\" name=\"decision\" value=\"allow\">Connect</button>");
    if page.tidbcloud_login {
        html.raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"tidbcloud\" formnovalidate>Sign in at TiDB Cloud instead</button>");
    }
    html.raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"deny\" formnovalidate>Cancel</button></div></form>");
    html.element("<p class=\"hint\">You are on <strong>", page.server_host, "</strong>. ")
        .raw("See and end the connections of a key at <a href=\"/grants\">/grants</a>.</p>");
    end(html)
}

fn who_asks(html: &mut Html, page: &Consent<'_>) {
    html.raw("<section aria-labelledby=\"who\"><h2 id=\"who\">Who asks</h2><dl>");
    html.raw("<dt>The client says it is</dt><dd><strong>");
    html.text(if page.client_name.is_empty() { "(no name)" } else { page.client_name });
    html.raw("</strong><span class=\"hint\"> self-reported: any client can say this</span></dd>");
    html.raw("<dt>Known from</dt><dd>");
    match page.client_id_host {
        Some(host) => html.element("<code>", host, "</code>"),
        None => html.raw("its own registration here, as is usual"),
    };
    html.element(
        "</dd><dt>Your answer goes to</dt><dd><code class=\"place\">",
        page.redirect_host,
        "</code></dd></dl>",
    );
    // A scheme of an application's own belongs to whichever application claims it (RFC 8252 section 8.6); any program can listen
    // on loopback (section 8.3).
    if page.redirect_is_loopback {
        html.raw("<p class=\"hint\">That is a program on this computer, as with Claude Code, VS Code and mcp-remote. Go on only if you have just started this there.</p>");
    } else if page.redirect_is_app && !page.redirect_is_known {
        html.raw("<p class=\"hint\">That is an app on this device; any app can claim such an address. Go on only if you have just started this in one that you trust.</p>");
    } else if !page.redirect_is_known && page.client_id_host != Some(page.redirect_host) {
        html.raw("<p class=\"warning\"><strong>This server does not know that address.</strong> Its owner gets the access that you tick below. Continue only if you know who that is.</p>");
    }
    html.raw("</section>");
}

fn scopes(html: &mut Html, page: &Consent<'_>) {
    // An unticked box stays unticked when the page comes back.
    let chosen = if page.problems.is_empty() { Some(page.requested.min(Scope::Write)) } else { page.kept_scope };
    let problem = problem_at(page.problems, "scope", 0);
    html.raw("<fieldset");
    described(html, "scope", true, problem);
    html.raw("><legend>What the client may do</legend>");
    message(html, "scope", problem);
    for (position, scope) in Scope::ALL.into_iter().enumerate() {
        let (word, meaning) = in_words(scope);
        let id = id("scope", position);
        html.raw("<div class=\"choice\"><input type=\"checkbox\" name=\"scope\"").attribute("value", scope.as_str());
        html.attribute("id", &id);
        // Permission to destroy is never pre-ticked.
        if Some(scope) <= chosen && scope != Scope::Destroy {
            html.raw(" checked");
        }
        html.raw("><label").attribute("for", &id).raw("><strong>").raw(word);
        html.raw("</strong> ").raw(meaning);
        if scope == Scope::Destroy && chosen == Some(Scope::Destroy) {
            html.raw(TICKED_BEFORE);
        } else if scope == Scope::Destroy && page.requested == Scope::Destroy {
            html.raw(" <em>The client asks for this.</em>");
        }
        html.raw("</label></div>");
    }
    if !page.narrowed.is_empty() {
        html.raw("<div class=\"notice\">In any case the client gets only<ul>");
        for (what, value) in page.narrowed {
            html.raw("<li>").raw(what);
            if !value.is_empty() {
                html.element(" <code><bdi>", value, "</bdi></code>");
            }
            html.raw("</li>");
        }
        html.raw("</ul></div>");
    }
    html.raw("<p class=\"hint\" id=\"scope-hint\">Each includes those above it. A client can never do more than the key behind it.</p></fieldset>");
}

/// A choice of who is asked, where something can be changed.
///
/// Gives back whether the fold is open.
fn presence(html: &mut Html, page: &Consent<'_>) -> bool {
    const CHOICES: [(&str, &str, &str); 2] = [
        (
            "absent",
            "Without asking",
            "Nobody is asked before the client destroys something or makes it cost more, within what you tick above: only for a \
             client that works by itself, on what you can lose. You are still asked before somebody is let in or data goes out.",
        ),
        (
            "page",
            "Always on a page of this server",
            "You agree in your browser, never in a form of the client's own: the client could fill that in by itself.",
        ),
    ];
    if !page.can_change {
        return false;
    }
    let problem = problem_at(page.problems, "presence", 0);
    let open = fold(html, problem.is_some() || !page.kept_presence.is_empty(), "How you are asked");
    html.raw("<fieldset");
    described(html, "presence", true, problem);
    html.raw("><legend>Before something is destroyed or costs more</legend>");
    message(html, "presence", problem);
    for (position, (value, title, meaning)) in CHOICES.into_iter().enumerate() {
        let id = id("presence", position);
        html.raw("<div class=\"choice\"><input type=\"checkbox\" name=\"presence\"");
        html.attribute("value", value).attribute("id", &id);
        // Permission to go without asking is never pre-ticked.
        let kept = page.kept_presence.contains(&value);
        if kept && value != "absent" {
            html.raw(" checked");
        }
        html.raw("><label")
            .attribute("for", &id)
            .raw("><strong>")
            .raw(title)
            .raw("</strong> ")
            .raw(meaning)
            .raw(if kept && value == "absent" { TICKED_BEFORE } else { "" })
            .raw("</label></div>");
    }
    html.raw("<p class=\"hint\" id=\"presence-hint\">With neither ticked, you are asked each time: by the client if it can, else on a page of this server. Tick one at most. Neither does anything if the client may only read.</p></fieldset></details>");
    open
}

/// A choice of toolsets, where there is one; gives back whether the fold is open.
fn toolsets(html: &mut Html, page: &Consent<'_>) -> bool {
    let problem = problem_at(page.problems, "toolsets", 0);
    if page.toolsets.len() < 2 && problem.is_none() {
        return false;
    }
    let open = fold(html, problem.is_some() || !page.kept_toolsets.is_empty(), "Only some tools");
    html.raw("<fieldset");
    described(html, "toolsets", true, problem);
    html.raw("><legend>Tools that the client gets</legend>");
    message(html, "toolsets", problem);
    for (position, toolset) in page.toolsets.iter().enumerate() {
        let is_listed = page.names_toolsets || toolset.is_default();
        let remark = if is_listed { "" } else { " (not listed unless ticked)" };
        toolset_box(html, page, position, (toolset.name(), toolset.title(), remark));
    }
    if !page.names_toolsets {
        toolset_box(html, page, page.toolsets.len(), ("all", "All of them", ", also those that come later"));
    }
    html.raw("<p class=\"hint\" id=\"toolsets-hint\">").raw(if page.names_toolsets {
        "With none ticked, the client gets all of these."
    } else {
        "With none ticked, the client gets the tools of its address, and can look for others that only read."
    });
    html.raw(" With some ticked, it gets these and no others.</p></fieldset></details>");
    open
}

fn toolset_box(html: &mut Html, page: &Consent<'_>, position: usize, text: (&str, &'static str, &'static str)) {
    let (value, title, remark) = text;
    let id = id("toolsets", position);
    html.raw("<div class=\"choice\"><input type=\"checkbox\" name=\"toolsets\"");
    html.attribute("value", value).attribute("id", &id);
    if page.kept_toolsets.contains(&value) {
        html.raw(" checked");
    }
    html.raw("><label")
        .attribute("for", &id)
        .raw("><strong>")
        .raw(title)
        .raw("</strong>")
        .raw(remark)
        .raw("</label></div>");
}

fn kept<'a>(page: &Consent<'a>, set: usize) -> KeptSet<'a> {
    page.kept.get(set).copied().unwrap_or_default()
}

fn keys(html: &mut Html, page: &Consent<'_>) {
    if page.sandbox {
        html.raw("<div class=\"notice\"><p>A sandbox stands in for TiDB Cloud here. It takes the keys that <code>cargo xtask dev</code> shows, and no others.</p></div>");
    }
    html.raw("<fieldset><legend>Your API key for TiDB Cloud</legend><p>Make one on the <a rel=\"noreferrer noopener\" target=\"_blank\"")
        .attribute("href", CONSOLE)
        .raw(">API Keys page of the console (new tab)</a>. It has the power of its role: a Project Viewer looks and changes nothing.</p>")
        .raw("<p>The client never gets it. <a target=\"_blank\" href=\"/#privacy\">How keys are sealed (new tab)</a>.</p>")
        .raw("<p>Keep both parts in a password manager: they may be asked for again when a client wants more or connects anew.</p>");
    if page.tidbcloud_login {
        html.raw("<p>Or leave them out and sign in at TiDB Cloud, with the button at the end.</p>");
    }
    key_fields(html, 0, kept(page, 0), page.problems);
    html.raw("</fieldset>");
}

/// What few need; gives back whether a part of it was used or is wrong.
fn options(html: &mut Html, page: &Consent<'_>) -> bool {
    let mut open = toolsets(html, page);
    open |= presence(html, page);
    if !page.owner {
        open |= organizations(html, page);
        open |= sql_user(html, 0, kept(page, 0), page.problems);
    }
    open | aliases(html, page)
}

/// Up to four more organizations; gives back whether the fold is open.
fn organizations(html: &mut Html, page: &Consent<'_>) -> bool {
    let in_use = |set: usize| {
        !kept(page, set).name.is_empty()
            || (set > 0 && !kept(page, set).public_key.is_empty())
            || page.problems.iter().any(|problem| problem.set == set && (set > 0 || problem.field == "name"))
    };
    let open = fold(html, (0..super::contents::SETS_MAX).any(in_use), "More organizations (up to four)");
    html.raw("<fieldset><legend>Organization 1, of the key above</legend>");
    name_field(html, 0, kept(page, 0), page.problems);
    html.raw("</fieldset>");
    for set in 1..super::contents::SETS_MAX {
        html.element("<fieldset><legend>Organization ", &(set + 1).to_string(), "</legend>");
        key_fields(html, set, kept(page, set), page.problems);
        name_field(html, set, kept(page, set), page.problems);
        sql_user(html, set, kept(page, set), page.problems);
        html.raw("</fieldset>");
    }
    html.raw("</details>");
    open
}

fn aliases(html: &mut Html, page: &Consent<'_>) -> bool {
    let problem = problem_at(page.problems, "aliases", 0);
    let open = fold(html, problem.is_some() || !page.kept_aliases.is_empty(), "Short names for clusters");
    html.raw("<div class=\"field\"><label for=\"aliases\">Aliases</label>")
        .raw("<p class=\"hint\" id=\"aliases-hint\">One a line: alias = cluster id.</p>");
    message(html, "aliases", problem);
    html.raw("<textarea id=\"aliases\" name=\"aliases\" rows=\"3\" autocapitalize=\"none\" spellcheck=\"false\" autocomplete=\"off\"");
    described(html, "aliases", true, problem);
    html.raw(if problem.is_some() { " aria-invalid=\"true\">" } else { ">" });
    // A line feed right after the start tag is not part of the value (HTML, section 13.1.2.5).
    html.raw("\n").text(page.kept_aliases).raw("</textarea></div></details>");
    open
}

/// The page that leads back to the client: automatically, and by a link in case that fails.
pub fn continue_page(target: &str, client_name: &str, nonce: &str, denied: bool) -> String {
    let title = if denied { "Not connected" } else { "Connected" };
    let mut html = begin(&Top { title, nonce, refresh: Some(target), ..Top::default() });
    html.raw(if denied { "<p>Nothing was allowed to " } else { "<p>Going back to " }).element(
        "<strong>",
        if client_name.is_empty() { "the client" } else { client_name },
        "</strong>.</p>",
    );
    html.raw("<p><a id=\"continue\" class=\"button\"").attribute("href", target).raw(">Continue to the client</a></p>");
    html.raw("<p class=\"hint\">If nothing happens, use the button. After that you can close this tab.</p>");
    end(html)
}

/// The page that leads to TiDB Cloud's own, where the person signs in.
pub fn sign_in_page(target: &str, nonce: &str) -> String {
    let mut html = begin(&Top { title: "Sign in at TiDB Cloud", nonce, refresh: Some(target), ..Top::default() });
    html.raw("<p>You come back here afterwards.</p><p><a id=\"continue\" class=\"button\"")
        .attribute("href", target)
        .raw(">Continue to TiDB Cloud</a></p><p class=\"hint\">If nothing happens, use the button.</p>");
    end(html)
}

/// A page that says what is wrong, and leads nowhere.
pub fn error_page(error: &str, message: &str, nonce: &str) -> String {
    let mut html = begin(&Top { title: "This did not work", nonce, ..Top::default() });
    html.element("<p role=\"alert\">", message, "</p>");
    html.element("<p class=\"hint\">Error code: <code>", error, "</code></p>");
    end(html)
}

/// The page that waits for a sign-in at TiDB Cloud.
pub fn device(page: &Device<'_>) -> String {
    let mut html = begin(&Top { title: "Sign in at TiDB Cloud", nonce: page.nonce, ..Top::default() });
    if page.again {
        html.raw("<p class=\"problems\" role=\"alert\">TiDB Cloud says that nobody has signed in yet. Finish there first, then try again.</p>");
    }
    html.raw("<ol><li>Open the <a rel=\"noreferrer noopener\" target=\"_blank\"")
        .attribute("href", page.verification_uri);
    html.raw(
        ">sign-in page of TiDB Cloud (new tab)</a>.</li><li>Check that it shows this code: <code class=\"place\">",
    );
    html.text(page.user_code).raw("</code></li><li>Allow it there, and come back here.</li></ol>");
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
    let GrantsSignIn { nonce, problems, .. } = *page;
    let mut html = begin(&Top { title: WHO, nonce, problems, takes_secrets: true, ..Top::default() });
    if page.signed_out {
        html.raw("<p class=\"notice\" role=\"status\">You are signed out. The clients stay connected.</p>");
    }
    html.raw("<form method=\"post\" action=\"/grants\" autocomplete=\"off\"><fieldset><legend>");
    if page.owner {
        html.raw("Show the clients of this server</legend>");
        access_key(&mut html, page.problems);
    } else {
        html.raw("Show the clients that use an API key</legend><p>TiDB Cloud checks the key; it is not kept.</p>");
        key_fields(&mut html, 0, KeptSet::default(), page.problems);
    }
    html.raw("<p class=\"hint\">You stay signed in for five minutes.</p></fieldset><div class=\"decision\"><button type=\"submit\">Show</button></div></form>");
    end(html)
}

/// The list of grants, and its other steps.
pub fn grants(page: &Grants<'_>) -> String {
    let confirms = page.step == Step::Confirm;
    let title = if confirms { "End what is listed here?" } else { WHO };
    let mut html = begin(&Top { title, nonce: page.nonce, ..Top::default() });
    if let Some(notice) = page.notice {
        html.element("<p class=\"notice\" role=\"status\">", notice, "</p>");
    }
    if page.step == Step::Ended {
        html.raw("<p><a class=\"button second\" href=\"/grants\">Show what is left</a></p>");
        return end(html);
    }
    html.raw(if confirms {
        "<p>It stops working at once. To use a client again, you connect it anew.</p>"
    } else if page.grants.is_empty() {
        "<p>No client is connected.</p>"
    } else {
        "<p>The names are what the clients call themselves.</p>"
    });
    let ends = |html: &mut Html| {
        html.raw("<form method=\"post\" action=\"/grants/revoke\">");
        hidden(html, "csrf", page.csrf);
    };
    html.raw(if page.grants.is_empty() { "" } else { "<ul class=\"grants\">" });
    for grant in page.grants {
        let name = if grant.client_name.is_empty() { "(no name)" } else { grant.client_name };
        html.element("<li><h2>", name, "</h2><dl>");
        html.element("<dt>Answers go to</dt><dd><code class=\"place\">", grant.client_host, "</code></dd>");
        if !grant.organization.is_empty() {
            html.element("<dt>Organization</dt><dd>", grant.organization, "</dd>");
        }
        html.raw("<dt>May</dt><dd>");
        for scope in Scope::ALL.into_iter().filter(|scope| *scope <= grant.scope) {
            html.raw(if scope == Scope::Read { "" } else { ", " }).raw(in_words(scope).0);
        }
        if grant.scope > Scope::Read {
            html.raw("</dd><dt>Asks you first</dt><dd>").raw(match grant.presence {
                Presence::Any => "In the client, or on a page of this server",
                Presence::Page => "Always on a page of this server",
                Presence::Absent => "<strong>No: it destroys and spends without asking</strong>",
            });
        }
        html.element("</dd><dt>Connected</dt><dd>", grant.created, "</dd>");
        html.element("<dt>Last used</dt><dd>", grant.last_used, "</dd>");
        html.element("<dt>Ends</dt><dd>", grant.ends, "");
        if grant.ends_idle != grant.ends {
            html.element(", or about ", grant.ends_idle, " if unused");
        }
        html.raw("</dd></dl>");
        if !confirms {
            ends(&mut html);
            hidden(&mut html, "grant", grant.id);
            html.raw("<button type=\"submit\" class=\"second\"")
                .attribute("aria-label", &format!("End this connection: {name}"))
                .raw(">End this connection</button></form>");
        }
        html.raw("</li>");
    }
    html.raw(if page.grants.is_empty() { "" } else { "</ul>" });
    ends(&mut html);
    if confirms || page.grants.len() > 1 {
        for grant in page.grants {
            hidden(&mut html, "grant", grant.id);
        }
    }
    html.raw("<div class=\"decision\">");
    if confirms {
        html.raw("<button type=\"submit\" name=\"then\" value=\"end\">End now</button><a class=\"button second\" href=\"/grants\">Keep</a>");
    } else {
        if page.grants.len() > 1 {
            html.raw("<button type=\"submit\" class=\"second\">End all of them</button>");
        }
        html.raw("<button type=\"submit\" class=\"second\" name=\"then\" value=\"sign-out\">Sign out</button>");
    }
    html.raw("</div></form>");
    end(html)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::base::text::spelled_out;

    /// The consent page in all its states, with `text` wherever a stranger or a person has a say.
    fn consents(text: &str) -> Vec<String> {
        let kept = [KeptSet { public_key: text, name: text, sql_cluster: text, sql_user: text }; 5];
        let problem = |field, set| Problem { field, set, message: text };
        let of_keys = ["publicKey", "privateKey", "name", "sqlCluster", "sqlUser", "sqlPassword"];
        let mut problems: Vec<_> = (0..5).flat_map(|set| of_keys.map(|field| problem(field, set))).collect();
        problems.extend([problem("scope", 0), problem("toolsets", 0), problem("presence", 0), problem("aliases", 0)]);
        let narrowed = [("tools that change nothing", String::new()), ("the branch", text.to_owned())];
        let first = Consent {
            client_name: text,
            client_id_host: Some(text),
            redirect_host: text,
            requested: Scope::Destroy,
            narrowed: &narrowed,
            toolsets: Toolset::ALL,
            can_change: true,
            transaction: text,
            csrf: text,
            nonce: text,
            server_host: text,
            ..Consent::default()
        };
        let again = Consent {
            problems: &problems,
            kept: &kept,
            kept_toolsets: &["clusters"],
            kept_presence: &["absent", "page"],
            kept_aliases: text,
            tries_left: Some(3),
            ..first
        };
        let access_key = [problem("accessKey", 0)];
        vec![
            consent(&first),
            consent(&again),
            consent(&Consent { owner: true, problems: &access_key, ..first }),
            consent(&Consent { tidbcloud_login: true, ..first }),
        ]
    }

    /// The pages beside it.
    fn pages(text: &str) -> Vec<String> {
        let problem = |field, set| Problem { field, set, message: text };
        let (access_key, of_keys) = ([problem("accessKey", 0)], [problem("publicKey", 0), problem("privateKey", 0)]);
        let row = GrantRow {
            id: text,
            client_name: text,
            client_host: text,
            organization: text,
            scope: Scope::Destroy,
            presence: Presence::Absent,
            created: text,
            last_used: text,
            ends_idle: "2026-01-01",
            ends: text,
        };
        let rows = [row, row];
        let list = Grants { csrf: text, grants: &rows, nonce: text, notice: Some(text), step: Step::List };
        vec![
            continue_page(text, text, text, false),
            continue_page(text, text, text, true),
            sign_in_page(text, text),
            error_page(text, text, text),
            device(&Device {
                verification_uri: text,
                user_code: text,
                transaction: text,
                device: text,
                csrf: text,
                nonce: text,
                again: true,
            }),
            grants_sign_in(&GrantsSignIn { owner: false, signed_out: true, problems: &of_keys, nonce: text }),
            grants_sign_in(&GrantsSignIn { owner: true, signed_out: false, problems: &access_key, nonce: text }),
            grants(&list),
            grants(&Grants { grants: &[], notice: None, ..list }),
            grants(&Grants { step: Step::Confirm, ..list }),
            grants(&Grants { step: Step::Ended, ..list }),
        ]
    }

    /// All pages. Those that confirm a call spell out what does not show.
    fn all_pages(text: &str) -> Vec<String> {
        [consents(text), pages(text), step_up::tests::pages(text), confirm::tests::pages(text)].concat()
    }

    /// A tag: its name, and its attributes with their values.
    type Tag = (String, Vec<(String, String)>);

    /// What a browser makes of a page: its tags, and the text between them.
    fn parse(html: &str) -> (Vec<Tag>, Vec<String>) {
        let (mut tags, mut texts) = (Vec::new(), Vec::new());
        let mut rest = html;
        while let Some((text, after)) = rest.split_once('<') {
            texts.push(decode(text));
            let name_ends = after.find([' ', '>']).expect("the end of a tag's name");
            let (name, mut inside) = after.split_at(name_ends);
            let mut attributes = Vec::new();
            while let Some(attribute) = inside.strip_prefix(' ') {
                let ends = attribute.find(['=', ' ', '>']).expect("the end of an attribute's name");
                let (name, value) = attribute.split_at(ends);
                let (value, after) = match value.strip_prefix("=\"") {
                    Some(value) => value.split_once('"').expect("a closing quotation mark"),
                    None => ("", value),
                };
                attributes.push((name.to_owned(), decode(value)));
                inside = after;
            }
            tags.push((name.to_owned(), attributes));
            rest = inside.strip_prefix('>').expect("the end of a tag");
        }
        texts.push(decode(rest));
        (tags, texts)
    }

    fn decode(text: &str) -> String {
        let mut text = text.to_owned();
        for (written, meant) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
            text = text.replace(written, meant);
        }
        text
    }

    proptest! {
        /// Text of a client or a person stays text: it adds no element, no attribute and no script.
        #[test]
        fn text_stays_text(text in "\\PC{1,40}|(&(lt|gt|quot|amp|#39);?|</?[a-z]{1,6}|<!--|[\"'>]{1,2}|[ a-z=/]){1,12}") {
            // What is marked so in the page with the placeholder is the text in the other.
            const PLACEHOLDER: &str = "\u{b6}";
            let spelled = spelled_out(&text);
            let groups = [
                (&*text, consents(&text), consents(PLACEHOLDER)),
                (&*text, pages(&text), pages(PLACEHOLDER)),
                (&*text, step_up::tests::pages(&text), step_up::tests::pages(PLACEHOLDER)),
                (&*spelled, confirm::tests::pages(&spelled), confirm::tests::pages(PLACEHOLDER)),
            ];
            for (text, odd, plain) in groups.iter().flat_map(|(text, odd, plain)| {
                odd.iter().zip(plain).map(move |(odd, plain)| (*text, odd, plain))
            }) {
                let fill = |written: String| written.replace(PLACEHOLDER, text);
                let (tags, texts) = parse(plain);
                let tags: Vec<Tag> = tags.into_iter()
                    .map(|(tag, attributes)| (tag, attributes.into_iter().map(|(name, value)| (name, fill(value))).collect()))
                    .collect();
                prop_assert_eq!(parse(odd), (tags, texts.into_iter().map(fill).collect()));
            }
        }
    }

    #[test]
    fn every_field_has_a_label_and_no_secret_a_value() {
        const SECRETS: [&str; 3] = ["privateKey", "sqlPassword", "accessKey"];
        for page in all_pages("x") {
            let (tags, _) = parse(&page);
            let values = |of: &str, wanted: &str| -> Vec<String> {
                let tags = tags.iter().filter(|(tag, _)| of.is_empty() || tag == of);
                let named = tags.flat_map(|(_, attributes)| attributes).filter(|(name, _)| name == wanted);
                named.map(|(_, value)| value.clone()).collect()
            };
            let (ids, labelled) = (values("", "id"), values("label", "for"));
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id stands once: {ids:?}");
            let described = values("", "aria-describedby");
            let described = described.iter().flat_map(|ids| ids.split(' ')).map(str::to_owned);
            let links = values("a", "href").into_iter().filter_map(|to| to.strip_prefix('#').map(str::to_owned));
            for id in described.chain(links).chain(values("", "aria-labelledby")) {
                assert!(ids.contains(&id), "nothing is called {id}");
            }
            for (tag, attributes) in tags.iter().filter(|(tag, _)| matches!(tag.as_str(), "input" | "textarea")) {
                let get = |wanted| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
                if get("type") == Some("hidden") {
                    continue;
                }
                assert!(get("id").is_some_and(|id| labelled.iter().any(|label| label == id)), "{tag} {attributes:?}");
                let secret = get("name").is_some_and(|name| SECRETS.contains(&name));
                let secret = secret || get("name").is_some_and(|name| name.starts_with("given-") && tag == "input");
                assert_eq!(secret, get("type") == Some("password"), "{attributes:?}");
                assert!(!secret || (get("value").is_none() && get("autocomplete") == Some("off")), "{attributes:?}");
            }
        }
    }

    #[test]
    fn a_person_ticks_what_destroys_and_what_was_unticked_stays_so() {
        let ticked = |page: &Consent<'_>| -> Vec<String> {
            let (tags, _) = parse(&consent(page));
            let boxes = tags.into_iter().filter(|(_, attributes)| attributes.iter().any(|(name, _)| name == "checked"));
            boxes.flat_map(|(_, attributes)| attributes).filter(|(name, _)| name == "value").map(|(_, to)| to).collect()
        };
        let wrong = [Problem { field: "publicKey", set: 0, message: "x" }];
        let (read, write) = (vec!["tidb:read"], vec!["tidb:read", "tidb:write"]);
        for (requested, expected) in [(Scope::Read, &read), (Scope::Write, &write), (Scope::Destroy, &write)] {
            assert_eq!(&ticked(&Consent { requested, ..Consent::default() }), expected);
        }
        let chosen = [
            (None, vec![]),
            (Some(Scope::Read), read),
            (Some(Scope::Write), write.clone()),
            (Some(Scope::Destroy), write),
        ];
        for (kept_scope, expected) in chosen {
            let page = Consent { requested: Scope::Write, problems: &wrong, kept_scope, ..Consent::default() };
            assert_eq!(ticked(&page), expected, "after {kept_scope:?}");
            assert_eq!(consent(&page).contains("tick it again"), kept_scope == Some(Scope::Destroy));
        }
        // Nor is it ticked by itself that nobody is asked.
        let both =
            Consent { can_change: true, problems: &wrong, kept_presence: &["absent", "page"], ..Consent::default() };
        assert_eq!(ticked(&both), ["page"]);
        assert!(consent(&both).contains("tick it again"));
    }

    #[test]
    fn what_changes_says_that_it_can_cost_money() {
        for scope in Scope::ALL {
            assert_eq!(in_words(scope).1.contains("can cost money"), scope == Scope::Write, "{scope:?}");
        }
        for requested in Scope::ALL {
            for (owner, tidbcloud_login) in [(false, false), (false, true), (true, false)] {
                let page = consent(&Consent { requested, owner, tidbcloud_login, ..Consent::default() });
                assert!(
                    page.contains("This can cost money"),
                    "the warning is there for every requested scope: it can be ticked"
                );
            }
        }
    }

    #[test]
    fn where_the_answer_goes_is_said_unless_that_is_known_and_a_stranger_is_a_warning() {
        const LOOPBACK: &str = "a program on this computer";
        const APP: &str = "an app on this device";
        const UNKNOWN: &str = "does not know that address";
        let document = Some("claude.ai");
        for (client_id_host, redirect_host, redirect_is_known, warning) in [
            (None, "claude.ai", true, None),
            (None, "app.example", false, Some(UNKNOWN)),
            (None, "cursor://anysphere.cursor-mcp", false, Some(APP)),
            (None, "com.example.app:", false, Some(APP)),
            (None, "localhost:3334", false, Some(LOOPBACK)),
            (document, "localhost:3334", false, Some(LOOPBACK)),
            // Anybody can publish a document: only its own host is as well known as it is.
            (document, "app.example", false, Some(UNKNOWN)),
            (document, "claude.ai", false, None),
        ] {
            let redirect_is_loopback = redirect_host.starts_with("localhost");
            let html = consent(&Consent {
                client_id_host,
                redirect_host,
                redirect_is_loopback,
                redirect_is_known,
                redirect_is_app: redirect_host.contains(':') && !redirect_is_loopback,
                ..Consent::default()
            });
            let said: Vec<_> = [LOOPBACK, APP, UNKNOWN].into_iter().filter(|text| html.contains(text)).collect();
            assert_eq!(said, Vec::from_iter(warning), "{client_id_host:?} {redirect_host}");
            let warnings = html.matches("class=\"warning\"").count();
            assert_eq!(warnings, usize::from(warning == Some(UNKNOWN)), "an ordinary client is no danger");
        }
    }

    #[test]
    fn one_fold_holds_what_few_need_and_is_open_when_some_of_it_was_used() {
        let fold = |page: &Consent<'_>| -> (bool, String) {
            let html = consent(page);
            let (before, rest) = html.split_once("<summary>More options").expect("the fold");
            let (tags, _) = parse(before);
            assert!(tags.iter().filter(|(tag, _)| tag == "details").count() == 1, "nothing else is folded");
            let shown = tags.iter().flat_map(|(_, attributes)| attributes).filter(|(name, _)| name == "name");
            let shown: BTreeSet<_> = shown.map(|(_, value)| value.clone()).collect();
            for needed in ["scope", if page.owner { "accessKey" } else { "privateKey" }] {
                assert!(shown.contains(needed), "{needed} among {shown:?}");
            }
            for few in ["name", "sqlUser", "aliases", "toolsets", "presence"] {
                assert!(!shown.contains(few), "{few} among {shown:?}");
            }
            (before.ends_with(" open>"), rest.to_owned())
        };
        let page = Consent { can_change: true, toolsets: Toolset::ALL, ..Consent::default() };
        let typed = |set: KeptSet<'static>| [set];
        let none = KeptSet::default();
        assert!(!fold(&page).0 && !fold(&Consent { owner: true, ..page }).0);
        let only_keys = typed(KeptSet { public_key: "x", ..none });
        let wrong = [Problem { field: "privateKey", set: 0, message: "x" }];
        assert!(!fold(&Consent { kept: &only_keys, problems: &wrong, ..page }).0, "the keys are not in it");
        for set in
            [KeptSet { name: "x", ..none }, KeptSet { sql_user: "x", ..none }, KeptSet { sql_cluster: "x", ..none }]
        {
            assert!(fold(&Consent { kept: &typed(set), ..page }).0);
        }
        assert!(fold(&Consent { kept: &[none, KeptSet { public_key: "x", ..none }], ..page }).0);
        assert!(fold(&Consent { kept_aliases: "x", ..page }).0);
        assert!(fold(&Consent { kept_toolsets: &["database"], ..page }).0);
        assert!(fold(&Consent { kept_presence: &["page"], ..page }).0);
        for (field, set) in
            [("name", 0), ("sqlUser", 0), ("publicKey", 1), ("aliases", 0), ("toolsets", 0), ("presence", 0)]
        {
            let problems = [Problem { field, set, message: "x" }];
            let (open, inside) = fold(&Consent { problems: &problems, ..page });
            let at = inside.find(&format!("id=\"{}-problem\"", id(field, set))).expect("the problem");
            let folds = inside[..at].rmatch_indices("<details").next().expect("its own fold").0;
            assert!(
                open && inside[folds..].starts_with("<details class=\"set\" open>"),
                "{field} of {set} is in sight"
            );
        }
    }
}
