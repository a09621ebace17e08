//! A person in front of the page where a call is confirmed.

use super::{
    Answer, Driver, keys,
    oauth::{Fields, Page, attribute, browser_form, elements, fields, get, unescape},
};

/// Their browser.
#[derive(Default)]
pub struct Browser {
    /// Path of the page.
    path: String,
    /// The last form that could be decided: what "back" leads to.
    form: Option<Page>,
    /// Status and source of what it shows.
    status: u16,
    html: String,
    /// Credentials that are typed into the form before the next button is pressed.
    given: Fields,
}

impl Browser {
    /// Opens a link.
    pub fn open(&mut self, server: &mut impl Driver, path: &str) {
        let origin = server.origin();
        path.strip_prefix(&origin).unwrap_or(path).clone_into(&mut self.path);
        let path = self.path.as_str();
        let answer = server.send(get(path));
        self.show(&answer);
    }

    /// Types the keys of this caller, and asks to see what it is about.
    pub fn prove(&mut self, server: &mut impl Driver, who: &str) {
        let (public, private) = keys(who);
        let typed = fields(&[("publicKey", public), ("privateKey", &private)]);
        let answer = server.send(browser_form(&server.origin(), &self.path, "", &typed));
        self.show(&answer);
    }

    /// Types a credential into its field.
    pub fn give(&mut self, name: &str, value: &str) {
        self.given.push((format!("given-{name}"), value.to_owned()));
    }

    /// Presses a button of the form, with this name typed; empty is nothing.
    pub fn decide(&mut self, server: &mut impl Driver, decision: &str, name: &str) {
        let typed = fields(&[("decision", decision), ("name", name)]);
        let typed = typed.into_iter().filter(|(_, value)| !value.is_empty());
        let typed = typed.chain(std::mem::take(&mut self.given)).collect();
        self.press(server, typed);
    }

    /// Presses the button of the secret with this name, where some lie ready.
    pub fn take(&mut self, server: &mut impl Driver, name: &str) {
        let buttons = elements(&self.html, "button");
        let of_it =
            |tag: &&String| attribute(tag, "aria-label").is_some_and(|label| label.ends_with(&format!(" {name}")));
        // Without a button: somebody goes back to the page on which it was.
        let item = buttons.iter().find(of_it).and_then(|tag| attribute(tag, "value")).unwrap_or_else(|| "0".to_owned());
        self.press(server, fields(&[("item", &item)]));
    }

    fn press(&mut self, server: &mut impl Driver, typed: Fields) {
        let form = self.form.as_ref().unwrap_or_else(|| panic!("no form with buttons was shown: {}", self.text()));
        let all: Fields = form.hidden.iter().cloned().chain(typed).collect();
        let answer = server.send(browser_form(&server.origin(), &self.path, &form.cookie, &all));
        self.show(&answer);
    }

    /// Where the page leads.
    pub fn leads(&self) -> Option<String> {
        let links = elements(&self.html, "a");
        let link = links.iter().find(|tag| attribute(tag, "id").as_deref() == Some("continue"));
        link.and_then(|tag| attribute(tag, "href"))
    }

    fn show(&mut self, answer: &Answer) {
        let page = Page::of(answer);
        self.status = answer.status;
        self.html.clone_from(&page.html);
        if page.hidden.iter().any(|(name, _)| name == "proof") {
            self.form = Some(page);
        }
    }

    /// Status of what it shows.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What it got, with everything that is not shown.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// The text that it shows.
    pub fn text(&self) -> String {
        let body = self.html.split_once("<body").map_or(self.html.as_str(), |(_, body)| body);
        let texts = body.split('<').map(|part| part.split_once('>').map_or("", |(_, text)| text));
        unescape(&texts.collect::<Vec<_>>().join(" "))
    }
}
