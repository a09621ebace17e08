//! The pages on which a person agrees to a call, or takes secrets.

use super::{
    Field, Html, KeptSet, Problem, Top, begin, described, end, field, hidden, key_fields, message, problem_at,
};
use crate::{base::text::spelled_out, catalogue::Stakes};

const TITLE: &str = "Confirm what a client wants to do";
const HANDED_TITLE: &str = "Take what a client may not have";

/// Name and id of the field for a credential. No field of the form itself is called so.
pub fn credential_id(name: &str) -> String {
    format!("given-{name}")
}

/// The page that asks whose question it is.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// Its path.
    pub path: &'a str,
    /// Whether it is about a question, and not about secrets.
    pub is_question: bool,
    /// Whether the access key proves it.
    pub takes_access_key: bool,
    /// Whether a key pair proves it.
    pub takes_keys: bool,
    /// Whether this browser has a cookie of the grant that asks.
    pub is_known: bool,
    /// Whether clients are connected by a sign-in at TiDB Cloud, and if so, whether another one proves who asks.
    pub sign_in: Option<bool>,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Tries that are left, once there was one.
    pub tries_left: Option<u32>,
    /// Of the style sheets.
    pub nonce: &'a str,
}

/// The page that shows what a call would do.
pub struct Shown<'a> {
    /// Its path.
    pub path: &'a str,
    /// The sealed proof.
    pub proof: &'a str,
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// What would happen.
    pub stakes: &'a Stakes,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
}

fn form(html: &mut Html, path: &str) {
    html.raw("<form method=\"post\" autocomplete=\"off\"").attribute("action", path).raw(">");
}

/// The page that asks whose question it is: it shows nothing of it.
pub fn proof(page: &Proof<'_>) -> String {
    let Proof { nonce, problems, tries_left, .. } = *page;
    let takes_secrets = problems.iter().any(|problem| problem.field != "signIn");
    let title = if page.is_question { TITLE } else { HANDED_TITLE };
    let mut html = begin(&Top { title, nonce, problems, takes_secrets, tries_left, ..Top::default() });
    html.raw(if page.is_question {
        "<p>A client asked for something that only a person may allow. Nothing happens before you agree to it.</p>"
    } else {
        "<p>A client asked for files or keys that it must not see itself. They lie ready for you, for ten minutes.</p>"
    });
    if page.is_known {
        html.raw(
            "<p>You connected this client in this browser, so you need not prove that the connection is yours.</p>",
        );
        form(&mut html, page.path);
        html.raw("<div class=\"decision\"><button type=\"submit\" name=\"by\" value=\"browser\">Show what it is</button></div></form>");
        html.raw(if problems.is_empty() { "<details class=\"set\">" } else { "<details class=\"set\" open>" })
            .raw("<summary>Prove it in another way</summary>");
    } else {
        html.raw("<p>Prove that the connection is yours to see what it is.</p>");
    }
    credentials(&mut html, page);
    html.raw(if page.is_known { "</details>" } else { "" });
    end(html)
}

/// The fields for what the caller connected with.
fn credentials(html: &mut Html, page: &Proof<'_>) {
    form(html, page.path);
    if page.takes_access_key {
        html.raw("<fieldset><legend>Your access key</legend>");
        let hint = "The value of MCP_ACCESS_KEY.";
        let access = Field { name: "accessKey", set: 0, label: "Access key", hint, value: None };
        field(html, &access, page.problems);
        html.raw("</fieldset>");
    }
    if page.takes_keys {
        html.raw("<fieldset><legend>").raw(if page.takes_access_key { "Or an" } else { "Your" }).raw(
            " API key</legend><p>The one that the client calls with, of the organization that its call is about. It is checked with TiDB Cloud and not kept.</p>",
        );
        key_fields(html, 0, KeptSet::default(), page.problems);
        html.raw("</fieldset>");
    }
    html.raw("<div class=\"decision\"><button type=\"submit\">Show what it is</button>");
    match page.sign_in {
        Some(true) => {
            let problem = problem_at(page.problems, "signIn", 0);
            html.raw("<button type=\"submit\" class=\"second\" id=\"signIn\" name=\"by\" value=\"tidbcloud\"");
            described(html, "signIn", true, problem);
            html.raw(">Sign in at TiDB Cloud instead</button></div>");
            message(html, "signIn", problem);
            html.raw("<p class=\"hint\" id=\"signIn-hint\">If you connected the client by signing in there: sign in as the same person, or ")
                .raw("connect the client again in this browser.</p>");
        }
        Some(false) => {
            html.raw("</div><p class=\"hint\">If you connected the client by signing in at TiDB Cloud, only the browser in which you did can ")
                .raw("prove it. Open this page there, or connect the client again in this browser and let it make its call again.</p>");
        }
        None => {
            html.raw("</div>");
        }
    }
    html.raw("</form>");
}

/// What it is about.
fn about(html: &mut Html, stakes: &Stakes) {
    html.element("<section aria-labelledby=\"what\"><h2 id=\"what\">", &spelled_out(&stakes.what), "</h2>");
    if stakes.shown_facts().next().is_some() {
        html.raw("<dl>");
        for (name, value) in stakes.shown_facts() {
            html.element("<dt>", &spelled_out(name), "</dt>").element("<dd>", &spelled_out(value), "</dd>");
        }
        html.raw("</dl>");
    }
    html.raw("</section>");
}

/// The page that shows what a call would do.
pub fn shown(page: &Shown<'_>) -> String {
    let Shown { nonce, problems, stakes, .. } = *page;
    let takes_secrets = !stakes.credentials.is_empty();
    let mut html = begin(&Top { title: TITLE, nonce, problems, takes_secrets, ..Top::default() });
    about(&mut html, stakes);
    statements(&mut html, &stakes.statements);
    form(&mut html, page.path);
    hidden(&mut html, "proof", page.proof);
    hidden(&mut html, "csrf", page.csrf);
    credential_fields(&mut html, stakes, problems);
    if let Some(name) = &stakes.name {
        html.element(
            "<p>This cannot be undone. To agree, type <code class=\"place\">",
            &spelled_out(name),
            "</code>.</p>",
        );
        field(&mut html, &Field { name: "name", set: 0, label: "Name", hint: "", value: Some("") }, page.problems);
    }
    html.raw("<div class=\"decision\"><button type=\"submit\" name=\"decision\" value=\"confirm\">Allow it</button>")
        .raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"decline\" formnovalidate>Decline</button></div></form>");
    end(html)
}

/// The fields of what the call asks for.
fn credential_fields(html: &mut Html, stakes: &Stakes, problems: &[Problem<'_>]) {
    if stakes.credentials.is_empty() {
        return;
    }
    html.raw("<fieldset><legend>Credentials for this call</legend><p>They are sealed here and used once, for what stands above. This ")
        .raw("server deletes them when the call takes them, or after five minutes. The client and its model never get them.</p>");
    for (name, label, long) in &stakes.credentials {
        let id = credential_id(name);
        let label = spelled_out(label);
        if !*long {
            field(html, &Field { name: &id, set: 0, label: &label, hint: "", value: None }, problems);
            continue;
        }
        let problem = problem_at(problems, &id, 0);
        html.raw("<div class=\"field\"><label").attribute("for", &id).raw(">").text(&label).raw("</label>");
        message(html, &id, problem);
        html.raw("<textarea rows=\"6\" autocapitalize=\"none\" spellcheck=\"false\" autocomplete=\"off\"");
        html.attribute("id", &id).attribute("name", &id);
        described(html, &id, false, problem);
        html.raw(if problem.is_some() { " aria-invalid=\"true\"></textarea></div>" } else { "></textarea></div>" });
    }
    html.raw("</fieldset>");
}

/// The page with secrets, each of which is given once. `items` are what each is, how much that is, and whether it is an address;
/// `left` the places of those that were not taken; `given` the place and the text of one that was just taken, and is no address.
pub fn handed(
    page: &Shown<'_>,
    items: &[(String, Option<String>, bool)],
    left: &[usize],
    given: Option<(usize, &str)>,
) -> String {
    let Shown { nonce, problems, stakes, .. } = *page;
    let mut html = begin(&Top { title: HANDED_TITLE, nonce, problems, ..Top::default() });
    if let Some((name, text)) = given.and_then(|(at, text)| items.get(at).map(|(name, ..)| (name, text))) {
        html.element(
            "<div class=\"notice\" role=\"status\"><p><strong>",
            &spelled_out(name),
            "</strong>, shown this once:</p>",
        );
        html.element("<pre><code>", text, "</code></pre></div>");
    }
    about(&mut html, stakes);
    form(&mut html, page.path);
    hidden(&mut html, "proof", page.proof);
    hidden(&mut html, "csrf", page.csrf);
    if items.iter().any(|(_, _, is_address)| *is_address) {
        html.raw("<p class=\"hint\">A download begins in a tab of its own, once for each file. This one stays.</p>");
    }
    html.raw("<ul class=\"grants\" id=\"items\" tabindex=\"-1\">");
    for (at, (name, size, is_address)) in items.iter().enumerate() {
        let name = spelled_out(name);
        html.element("<li><h2>", &name, "</h2>");
        if let Some(size) = size {
            html.element("<p class=\"hint\">", &spelled_out(size), "</p>");
        }
        if left.contains(&at) {
            let (word, label) = if *is_address { ("Download", "Download") } else { ("Show it once", "Show once:") };
            html.raw("<button type=\"submit\" name=\"item\"").attribute("value", &at.to_string());
            html.raw(if *is_address { " formtarget=\"download\"" } else { "" });
            html.attribute("aria-label", &format!("{label} {name}")).raw(">").raw(word).raw("</button></li>");
        } else {
            html.raw("<p class=\"hint\">Taken.</p></li>");
        }
    }
    html.raw("</ul></form>");
    end(html)
}

/// The page from which a browser goes to an address, once. It has no form, so that nobody need be told where it comes from.
pub fn download(name: &str, address: &str, nonce: &str) -> String {
    let mut html = begin(&Top { title: HANDED_TITLE, nonce, refresh: Some(address), ..Top::default() });
    html.element(
        "<div class=\"notice\" role=\"status\"><p>The download of <strong>",
        &spelled_out(name),
        "</strong> begins. ",
    );
    html.raw("If it does not: <a id=\"continue\" rel=\"noreferrer noopener\"").attribute("href", address);
    html.raw(">download it</a>. This address is shown once.</p></div>")
        .raw("<p class=\"hint\">What else lies ready is in the tab before. You can close this one.</p>");
    end(html)
}

/// All statements, whole, each with its place in the order in which they run.
fn statements(html: &mut Html, statements: &[(usize, String)]) {
    if statements.is_empty() {
        return;
    }
    html.raw("<section aria-labelledby=\"sql\"><h2 id=\"sql\">");
    if statements.len() == 1 {
        html.raw("The statement");
    } else {
        html.text(&statements.len().to_string())
            .raw(" statements, those that destroy first; they run in the order of their numbers");
    }
    html.raw("</h2><ol class=\"statements\">");
    for (place, statement) in statements {
        html.raw("<li").attribute("value", &place.to_string()).raw("><pre><code>");
        // A line of SQL stays a line. Whatever else does not show is spelled out.
        for (at, line) in statement.split('\n').enumerate() {
            html.raw(if at == 0 { "" } else { "\n" }).text(&spelled_out(line));
        }
        html.raw("</code></pre></li>");
    }
    html.raw("</ol></section>");
}

/// What follows a decision.
pub fn decided(yes: bool, nonce: &str) -> String {
    let title = if yes { "Allowed" } else { "Declined" };
    let mut html = begin(&Top { title, nonce, ..Top::default() });
    html.raw(if yes {
        "<p role=\"status\">Tell the client to go on: the same call works once within five minutes, if nothing changed meanwhile.</p>"
    } else {
        "<p role=\"status\">Nothing happens. The client is told so if it makes the call again.</p>"
    });
    html.raw("<p class=\"hint\">You can close this tab.</p>");
    end(html)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every page, with `text` wherever a stranger or a person has a say.
    pub(in crate::oauth::page) fn pages(text: &str) -> Vec<String> {
        let problem = |field| Problem { field, set: 0, message: text };
        let both = [problem("accessKey"), problem("publicKey")];
        let first = Proof { path: text, is_question: true, takes_keys: true, nonce: text, ..Proof::default() };
        let again = Proof { takes_access_key: true, problems: &both, tries_left: Some(3), ..first };
        let known = Proof { is_known: true, sign_in: Some(false), ..first };
        let signs_in = [problem("signIn")];
        let signs_in = Proof { sign_in: Some(true), problems: &signs_in, ..first };
        let stakes = Stakes {
            what: text.to_owned(),
            facts: vec![(text.to_owned(), text.to_owned())],
            moving: vec![(text.to_owned(), text.to_owned())],
            statements: vec![(2, text.to_owned()), (1, text.to_owned())],
            name: Some(text.to_owned()),
            credentials: vec![("key".to_owned(), text.to_owned(), false), ("file".to_owned(), text.to_owned(), true)],
        };
        let wrong = [problem("name"), problem("given-key"), problem("given-file")];
        let page = |problems| Shown { path: text, proof: text, csrf: text, stakes: &stakes, problems, nonce: text };
        let of = |problems| shown(&page(problems));
        let items = [true, false].map(|is_address| (text.to_owned(), Some(text.to_owned()), is_address));
        let taken = [problem("items")];
        vec![
            proof(&Proof { is_question: false, ..first }),
            handed(&page(&[]), &items, &[0, 1], None),
            handed(&page(&taken), &items, &[1], None),
            download(text, text, text),
            handed(&page(&[]), &items, &[0], Some((1, text))),
            proof(&first),
            proof(&again),
            proof(&known),
            proof(&signs_in),
            of(&[]),
            of(&wrong),
            decided(true, text),
            decided(false, text),
        ]
    }

    #[test]
    fn a_statement_is_shown_in_its_lines_and_hides_nothing() {
        let stakes = Stakes {
            what: "Run SQL.".to_owned(),
            facts: Vec::new(),
            moving: Vec::new(),
            statements: vec![(2, "DROP TABLE a -- \u{202e}b\r\n;".to_owned())],
            name: None,
            credentials: Vec::new(),
        };
        let page = Shown { path: "", proof: "", csrf: "", stakes: &stakes, problems: &[], nonce: "" };
        assert!(shown(&page).contains("<li value=\"2\"><pre><code>DROP TABLE a -- \\u202eb\\r\n;</code></pre>"));
    }
}
