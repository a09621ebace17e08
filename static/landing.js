// The landing page without this script shows everything. With it, one client at a time, a button to copy, a search, and the state.
'use strict';

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Tabs (WAI-ARIA Authoring Practices, Tabs Pattern). The address names the client, so that it can be sent to somebody.
const list = document.querySelector('.tabs');
const tabs = all('a', list);
const panelOf = tab => document.getElementById(tab.hash.slice(1));

function choose(chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.setAttribute('aria-selected', isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    panelOf(tab).hidden = !isChosen;
  }
}

function go(tab) {
  choose(tab);
  tab.focus();
  history.replaceState(null, '', tab.hash);
}

list.setAttribute('role', 'tablist');
for (const tab of tabs) {
  tab.parentElement.setAttribute('role', 'presentation');
  tab.setAttribute('role', 'tab');
  tab.setAttribute('aria-controls', panelOf(tab).id);
  panelOf(tab).setAttribute('role', 'tabpanel');
  tab.addEventListener('click', event => {
    event.preventDefault();
    go(tab);
  });
}
list.addEventListener('keydown', event => {
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  go(tabs.at(to % tabs.length));
});
const named = () => tabs.find(tab => tab.hash === location.hash);
window.addEventListener('hashchange', () => { if (named()) choose(named()); });
// A hosted client cannot reach a server on this machine.
const onThisMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
choose(named() ?? tabs.find(tab => tab.hash === (onThisMachine ? '#claude-code' : '#claude')) ?? tabs[0]);

// A button to copy beside each snippet.
const said = document.createElement('p');
said.className = 'said';
said.setAttribute('role', 'status');
document.body.append(said);
for (const snippet of all('pre')) {
  const box = document.createElement('div');
  box.className = 'snippet';
  snippet.replaceWith(box);
  const button = document.createElement('button');
  button.type = 'button';
  const say = word => {
    button.textContent = word;
    button.setAttribute('aria-label', `${word}: ${snippet.getAttribute('aria-label')}`);
  };
  say('Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(snippet.innerText);
      say('Copied');
    } catch {
      // Not allowed here: what is selected can be copied by hand.
      getSelection().selectAllChildren(snippet);
      say('Selected');
    }
    said.textContent = `${button.textContent}.`;
    setTimeout(() => { say('Copy'); said.textContent = ''; }, 2000);
  });
  box.append(snippet, button);
}

// The search: every word has to occur in the tool, its description, its effect or its toolset.
const form = document.querySelector('.search');
const field = form.querySelector('input');
const groups = all('.wide tbody').map(body => {
  const [head, ...rows] = all('tr', body);
  return { body, rows: rows.map(row => ({ row, text: `${head.textContent} ${row.textContent}`.toLowerCase() })) };
});
form.hidden = false;
form.addEventListener('submit', event => event.preventDefault());
field.addEventListener('input', () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const { body, rows } of groups) {
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every(word => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    body.hidden = shown === 0;
    found += shown;
  }
  document.getElementById('found').textContent = words.length ? `${found} ${found === 1 ? 'tool' : 'tools'}` : '';
});

// The state, as monitors read it.
const state = document.getElementById('state');
fetch('/readyz').then(answer => answer.json()).then(({ status }) => {
  if (status === 'ready') {
    state.textContent = 'works';
    state.className = 'works';
  } else if (status === 'not_ready') {
    state.textContent = 'not everything works';
    state.className = 'fails';
  }
}).catch(() => {});
