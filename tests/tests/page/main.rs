//! The page in a browser: after real traffic its numbers equal the servers' counts, from the daemon and from a file,
//! and it is accessible.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

mod observed_node;

use std::collections::BTreeMap;
use std::fs;

use lab::browser::Browser;
use serde_json::Value;

use observed_node::Scene;

/// The page's numbers: (client, pod) → connections of the matrix, pod → opened, pod → sum over time, and their total.
const READ: &str = "(() => {
  const number = node => Number(node.firstChild.data.replaceAll(',', ''));
  const section = document.querySelector('main > section[id]');
  const matrix = section.querySelector('table.matrix');
  const pods = [...matrix.querySelectorAll('thead th')].slice(1).map(th => th.textContent);
  const cells = {};
  for (const row of matrix.querySelectorAll('tbody tr'))
    [...row.querySelectorAll('td')].forEach((td, place) => {
      if (pods[place] !== 'All' && number(td)) cells[row.querySelector('th').textContent + ' ' + pods[place]] = number(td);
    });
  const opened = {}, history = {};
  for (const row of section.querySelectorAll('table.over tbody tr')) {
    const pod = row.querySelector('th').textContent.trim();
    opened[pod] = number(row.querySelector('td.opened'));
    history[pod] = [...row.querySelectorAll('rect title')]
      .reduce((sum, title) => sum + Number(title.textContent.split(': ')[1].replaceAll(',', '')), 0);
  }
  const text = selector => section.querySelector(selector).textContent;
  return {
    name: text('h2'), cells, opened, history, states: section.querySelector('table.over tbody').textContent,
    total: number(document.querySelector('table.services td.opened')), cards: text('.cards, .cards + *'),
  };
})()";

/// Text with too little contrast.
const FAINT: &str = "(() => {
  const rgb = text => { const c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 || c[3] > 0 ? c : null; };
  const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let seen = 0;
  for (let text; text = walker.nextNode();) {
    const own = text.parentElement;
    if (!text.data.trim() || own.tagName === 'title') continue;
    seen += 1;
    const style = getComputedStyle(own);
    const front = rgb(own instanceof SVGElement ? style.fill : style.color);
    let back = null;
    for (let behind = own; !back; behind = behind.parentElement) back = rgb(getComputedStyle(behind).backgroundColor);
    const [more, less] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (more + 0.05) / (less + 0.05);
    if (ratio < 4.5) faint.push(`${text.data.trim()}: ${ratio}`);
  }
  return {seen, faint, back: getComputedStyle(document.body).backgroundColor};
})()";

/// Checks that the page at an address is complete, requests nothing else, and has the servers' counts.
fn equals_the_truth(browser: &mut Browser, scene: &Scene, url: &str) {
    let loaded = browser.open(url).unwrap();
    assert_eq!(loaded.requests, [url], "it needs nothing but itself");
    assert!(loaded.complaints.is_empty(), "{:#?}", loaded.complaints);
    let page = browser.ask(READ).unwrap();
    let counts = |what: &str| -> BTreeMap<String, u64> {
        let counts = page[what].as_object().unwrap_or_else(|| panic!("{what} of {page:#}"));
        counts.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
    };
    let (mut cells, mut pods) = (BTreeMap::new(), BTreeMap::new());
    for row in scene.lab.truth().unwrap().into_iter().filter(|row| row.accepted > 0) {
        *cells.entry(format!("shop/{} {}", row.client, row.pod)).or_default() += row.accepted;
        *pods.entry(row.pod).or_default() += row.accepted;
    }
    assert_eq!(page["name"], "shop/orders");
    assert_eq!(counts("cells"), cells, "{page:#}");
    let shown =
        |what: &str| counts(what).into_iter().filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>();
    assert_eq!(shown("opened"), pods, "{page:#}");
    assert_eq!(shown("history"), pods, "every connection has its time: {page:#}");
    assert_eq!(page["total"], pods.values().sum::<u64>());
    assert_eq!(counts("opened").len(), 4, "also the one that nobody uses");
    let states = page["states"].as_str().unwrap();
    assert!(states.contains("idle") && states.contains("removed"), "{states}");
    assert!(page["cards"].as_str().unwrap().contains("answer_order"), "{page:#}");
}

#[test]
fn a_browser_shows_the_servers_truth() {
    let scene = Scene::with_traffic();
    let mut browser = Browser::start(&scene.lab.folder().join("chromium")).unwrap();
    equals_the_truth(&mut browser, &scene, &format!("http://{}/", scene.observer.address()));
    let file = scene.lab.folder().join("report.html");
    fs::write(&file, scene.report()).unwrap();
    equals_the_truth(&mut browser, &scene, &format!("file://{}", file.display()));
}

#[test]
fn everybody_can_read_it() {
    let scene = Scene::with_traffic();
    let mut browser = Browser::start(&scene.lab.folder().join("chromium")).unwrap();
    browser.open(&format!("http://{}/", scene.observer.address())).unwrap();

    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme, "screen").unwrap();
        let faint = browser.ask(FAINT).unwrap();
        assert!(faint["seen"].as_u64().unwrap() > 100, "{faint:#}");
        assert_eq!(faint["faint"], Value::Array(Vec::new()), "{scheme}");
        backs.push(faint["back"].clone());
    }
    assert_ne!(backs[0], backs[1], "both schemes are there");

    let nodes = browser.accessible().unwrap();
    let of = |roles: &[&str]| -> Vec<&Value> {
        nodes.iter().filter(|node| roles.iter().any(|role| node["role"]["value"] == *role)).collect()
    };
    let figures = of(&["image", "img"]);
    let drawn = browser.ask("document.querySelectorAll('svg:not([aria-hidden])').length").unwrap();
    assert!(figures.len() >= 5 && drawn == figures.len(), "{drawn} {}", figures.len());
    for node in of(&["image", "img", "region", "table", "navigation", "link", "heading"]) {
        let is_table = node["role"]["value"] == "table";
        let name = node["name"]["value"].as_str().unwrap_or_default();
        assert!(is_table || !name.is_empty(), "{node:#}");
    }
    for role in ["main", "banner", "contentinfo", "navigation"] {
        assert_eq!(of(&[role]).len(), 1, "{role}");
    }
    assert!(of(&["columnheader"]).len() > 20 && of(&["rowheader"]).len() > 10);
    assert_eq!(browser.ask("document.querySelectorAll('h1').length").unwrap(), 1);
    let steps = "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])
        .every((level, place, all) => place === 0 || level <= all[place - 1] + 1)";
    assert_eq!(browser.ask(steps).unwrap(), true, "no level of headings is left out");
    assert_eq!(browser.ask("document.querySelectorAll('th:not([scope])').length").unwrap(), 0);

    browser.press("Tab", 9).unwrap();
    assert_eq!(browser.ask("document.activeElement.className").unwrap(), "skip");
    assert_eq!(browser.ask("document.activeElement.getBoundingClientRect().left >= 0").unwrap(), true);

    browser.resize(1_160, 700).unwrap();
    let cut = "[...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth)
        .map(box => box.getAttribute('aria-label'))";
    assert_eq!(browser.ask(cut).unwrap(), Value::Array(Vec::new()), "on a usual screen no table is moved");
    browser.resize(360, 700).unwrap();
    let sideways = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.ask(sideways).unwrap(), true, "on a small screen only tables are moved sideways");
    let pdf = browser.pdf().unwrap();
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 10_000, "{} bytes", pdf.len());
}
