//! The page on which a person allows a client more than before.

use super::{Problem, Top, begin, described, end, hidden, id, in_words, message, problem_at};
use crate::base::scope::Scope;

/// That page.
#[derive(Clone, Copy)]
pub struct StepUp<'a> {
    /// What the client calls itself.
    pub client_name: &'a str,
    /// Where the answer goes.
    pub redirect_host: &'a str,
    /// What it may do already.
    pub has: Scope,
    /// The strongest scope that is asked for.
    pub wants: Scope,
    /// How the tools are narrowed, in words; empty for all.
    pub narrowed: &'a [(&'static str, String)],
    /// The sealed request.
    pub transaction: &'a str,
    /// What the cookie holds as well.
    pub csrf: &'a str,
    /// What was wrong the last time.
    pub problems: &'a [Problem<'a>],
    /// Of the style sheets.
    pub nonce: &'a str,
}

/// The page. It asks for no key, and ticks nothing.
pub fn step_up(page: &StepUp<'_>) -> String {
    let StepUp { nonce, problems, has, wants, .. } = *page;
    let name = if page.client_name.is_empty() { "A client" } else { page.client_name };
    let what = if wants == Scope::Destroy { "destroy" } else { "change" };
    let title = format!("{name} wants to {what} things");
    let mut html = begin(&Top { title: &title, nonce, problems, ..Top::default() });
    html.raw("<p>You connected this client in this browser, so you need not type a key again. Its name is what it called itself. Allow more only if you have just asked it for something that takes this.</p><dl><dt>It may already</dt><dd>");
    for scope in Scope::ALL.into_iter().filter(|scope| *scope <= has) {
        let (word, meaning) = in_words(scope);
        html.raw("<p><strong>").raw(word).raw("</strong> ").raw(meaning).raw("</p>");
    }
    html.element(
        "</dd><dt>Your answer goes to</dt><dd><code class=\"place\">",
        page.redirect_host,
        "</code></dd></dl>",
    )
    .raw("<form method=\"post\" action=\"/consent\" autocomplete=\"off\">");
    hidden(&mut html, "transaction", page.transaction);
    hidden(&mut html, "csrf", page.csrf);
    let problem = problem_at(problems, "scope", 0);
    html.raw("<fieldset");
    described(&mut html, "scope", true, problem);
    html.raw("><legend>It asks for more</legend>");
    message(&mut html, "scope", problem);
    let more = Scope::ALL.into_iter().filter(|scope| *scope > has && *scope <= wants);
    for (position, scope) in more.enumerate() {
        let (word, meaning) = in_words(scope);
        let id = id("scope", position);
        html.raw("<div class=\"choice\"><input type=\"checkbox\" name=\"scope\"").attribute("value", scope.as_str());
        html.attribute("id", &id).raw("><label").attribute("for", &id).raw("><strong>").raw(word);
        html.raw("</strong> ").raw(meaning).raw("</label></div>");
    }
    for (what, value) in page.narrowed {
        html.raw("<p>Only ").raw(what);
        html.element(" <code><bdi>", value, "</bdi></code></p>");
    }
    html.raw("<p class=\"hint\" id=\"scope-hint\">It reaches the same organizations and tools as before. Before it destroys something or makes it cost more, you are asked: in the client, or always on a page if you chose that. The connection that it has now ends when it has the new one.</p></fieldset>")
        .raw("<div class=\"decision\"><button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>")
        .raw("<button type=\"submit\" class=\"second\" name=\"decision\" value=\"deny\" formnovalidate>Cancel</button></div></form>")
        .raw("<p class=\"hint\">See and end the connections of a key at <a href=\"/grants\">/grants</a>.</p>");
    end(html)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The page, with `text` wherever a stranger has a say.
    pub(in crate::oauth::page) fn pages(text: &str) -> Vec<String> {
        let wrong = [Problem { field: "scope", set: 0, message: text }];
        let narrowed = [("the cluster", text.to_owned())];
        let page = |problems, wants| {
            let (has, narrowed) = (Scope::Read, &narrowed[..]);
            step_up(&StepUp {
                client_name: text,
                redirect_host: text,
                has,
                wants,
                narrowed,
                transaction: text,
                csrf: text,
                problems,
                nonce: text,
            })
        };
        vec![page(&[], Scope::Write), page(&wrong, Scope::Destroy)]
    }
}
