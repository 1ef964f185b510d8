//! The page of a result, as a browser shows it: every plot has its data, everything fits a desktop and a phone, all text is
//! read in light and in dark, and nothing is fetched.

mod browser;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use browser::{Shown, look_at};
use serde_json::{Value, json};

#[test]
fn every_plot_has_its_data_and_everything_fits_and_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (run, other, sweep) = (path("run.json"), path("other.json"), path("sweep.json"));
    let own = path("own.html");
    netload(&[
        "run",
        "--rate",
        "2k",
        "--duration",
        "2s",
        "--mode",
        "subscribe",
        "--shards",
        "2",
        "--json",
        &run,
        "--html",
        &own,
    ]);
    netload(&["run", "--events", "20000", "--shards", "1", "--json", &other]);
    netload(&["sweep", "--rates", "1k,2k,4k", "--duration", "300ms", "--warmup", "0s", "--json", &sweep]);
    let own = fs::read_to_string(own).expect("the run saved its page");
    let pages = [
        ("own", own),
        ("two", page(&[&run, &other])),
        ("sweep", page(&[&sweep])),
        ("all", page(&[&run, &other, &sweep])),
    ];
    let shown = shown(&pages);
    for page in &shown {
        assert_eq!(page.complaints, Vec::<String>::new(), "{page:?}");
        let names: &[&str] = match page.page.as_str() {
            "own" => &["run"],
            "two" => &["run", "other"],
            "sweep" => &["1,000/s", "2,000/s", "4,000/s"],
            _ => &["run", "other", "sweep 1,000/s", "sweep 2,000/s", "sweep 4,000/s"],
        };
        assert_eq!(data(page, "Events a second over time"), names);
        let percentiles = data(page, "Response time by percentile");
        let time = data(page, "Response time over time");
        let load = data(page, "Response time against load");
        match page.page.as_str() {
            "own" => {
                assert_eq!(percentiles, ["response", "service"]);
                assert_eq!(time, ["p50", "p99", "max"]);
                assert_eq!(data(page, "Events by shard"), ["ingested", "stored", "dropped"]);
            }
            kind => {
                let runs = percentiles.iter().filter(|name| !name.ends_with(" service"));
                assert_eq!(runs.count(), names.len(), "{percentiles:?}");
                for title in ["p50 over time", "p99 over time", "max over time", "Events stored by shard"] {
                    assert_eq!(data(page, title), names, "{title}");
                }
                let expected: &[&str] = if kind == "two" { &[] } else { &["p50", "p99", "p99.9", "max"] };
                assert_eq!(load, expected);
            }
        }
    }
}

#[test]
fn runs_of_every_shape_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let saved = path("run.json");
    netload(&[
        "run",
        "--rate",
        "1k",
        "--duration",
        "200ms",
        "--warmup",
        "0s",
        "--shards",
        "1",
        "--json",
        &saved,
    ]);
    let run: Value = serde_json::from_slice(&fs::read(&saved).expect("saved")).expect("JSON");
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut document = run.clone();
        change(&mut document);
        let path = path(name);
        fs::write(&path, document.to_string()).expect("writable");
        path
    };
    let [hostile, crowd] = [changed("hostile", &make_hostile), changed("crowd", &make_crowd)];
    let [instant, long] = [changed("instant", &make_instant), changed("long", &make_long)];
    // With this seed, the first event of so low a rate is due after the run's end.
    let nothing = path("nothing");
    let idle =
        ["--rate", "1", "--arrival", "poisson", "--duration", "1ms", "--warmup", "0s", "--shards", "1"];
    netload(&[&["run", "--json", &nothing], &idle[..]].concat());
    let many: Vec<String> = (0..20).map(|index| changed(&format!("run-{index}"), &|_| ())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let pages = [
        ("hostile", page(&[&hostile])),
        ("crowd", page(&[&crowd])),
        ("instant", page(&[&instant])),
        ("long", page(&[&long])),
        ("nothing", page(&[&nothing])),
        ("many", page(&many)),
        ("crowds", page(&[&crowd, &crowd, &crowd, &crowd, &long])),
    ];
    for page in &shown(&pages) {
        assert_eq!(
            page.complaints,
            Vec::<String>::new(),
            "{} at {}: {:?}",
            page.page,
            page.width,
            page.plots
        );
        match page.page.as_str() {
            "many" => assert_eq!(data(page, "Response time by percentile").len(), 20),
            "nothing" => assert_eq!(data(page, "Response time by percentile").len(), 0),
            _ => assert!(page.figures >= 4, "{page:?}"),
        }
    }
}

/// Texts that would be more than text if they were not escaped.
fn make_hostile(run: &mut Value) {
    run["command"] =
        json!(["</code><script>document.title = 1</script>", "\"><img src=x onerror=document.title = 1>"]);
    run["machine"]["processor"] = json!("</style></script><script>1</script>&lt;");
    run["settings"]["<b onclick='1'>"] = json!("x".repeat(500));
    run["result"]["failures"] = json!(["<iframe src='//example.org'></iframe>"]);
}

/// As many shards as there may be on a large machine.
fn make_crowd(run: &mut Value) {
    let shard = run["shards"][0].clone();
    let shards = (0..64).map(|index| {
        let mut shard = shard.clone();
        shard["shard"] = json!(index);
        shard["dropped"]["oldest"] = json!(index * 3);
        shard
    });
    run["shards"] = shards.collect();
}

/// An interrupted run with a latency of nothing.
fn make_instant(run: &mut Value) {
    run["interrupted"] = json!(true);
    run["series"] = json!([{ "second": 0, "events": 1, "p50_ns": 0, "p99_ns": 0, "max_ns": 0 }]);
}

/// Hours with gaps, and numbers as large as they get.
fn make_long(run: &mut Value) {
    let second = |second: u64| json!({ "second": second * 2, "events": 1_000_000_000_u64, "p50_ns": 900, "p99_ns": 3_600_000_000_000_u64, "max_ns": u64::MAX });
    run["series"] = (0..5_000).map(second).collect();
    run["result"]["clean"] = json!(false);
}

#[test]
fn each_thing_that_is_looked_for_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("run.json").display().to_string();
    netload(&[
        "run",
        "--rate",
        "1k",
        "--duration",
        "1s",
        "--warmup",
        "0s",
        "--shards",
        "1",
        "--json",
        &saved,
    ]);
    let page = page(&[&saved]);
    let in_plot = |what: &str| page.replace("<rect class=\"area\"", &format!("{what}<rect class=\"area\""));
    let in_body = |what: &str| page.replace("<main>", &format!("<main>{what}"));
    let styled = |style: &str| page.replace("</style>", &format!("{style}</style>"));
    let pages = [
        ("a plot without data", styled("g.data * { d: path(\"\"); height: 0; }")),
        ("no data of response", page.replacen("data-name=\"response\"", "data-name=\"response\"></g><g", 2)),
        ("beyond the axes", styled("g.data path { transform: none; } .line { d: path(\"M 0 0 L 9 9\"); }")),
        ("a plot without a name", page.replace("role=\"img\"", "")),
        ("wider than the window", in_body("<div style='width:1500px'>wide</div>")),
        ("the page scrolls sideways", in_body("<div style='width:1500px'>wide</div>")),
        ("text beyond its plot", in_plot("<text x='570' y='200'>a label that is long</text>")),
        ("text too small", styled(".plot text { font-size: 6px; }")),
        ("labels overlap", in_plot("<text x='60' y='200'>one</text><text x='66' y='202'>two</text>")),
        ("contrast", styled("p { color: #808080; background: #909090; }")),
        ("reaches outside: <a>", in_body("<a href='https://example.org'>there</a>")),
        ("reaches outside: <script>", in_body("<script></script>")),
        ("has a handler", in_body("<p onclick='1'>here</p>")),
        ("a style reaches outside", styled("b { background: url(//example.org/x.png); }")),
    ];
    for page in &shown(&pages) {
        let found = page.complaints.iter().any(|complaint| complaint.contains(&page.page));
        assert!(found, "{} at {}: {:?}", page.page, page.width, page.complaints);
    }
}

/// What is drawn in the plot of this title; nothing where there is none.
fn data<'a>(page: &'a Shown, title: &str) -> Vec<&'a str> {
    let plot = page.plots.iter().find(|plot| plot.title == title);
    plot.into_iter().flat_map(|plot| &plot.names).map(String::as_str).collect()
}

/// Every page in every width and scheme, and each plot visible once.
fn shown(pages: &[(&str, String)]) -> Vec<Shown> {
    let pages: Vec<(&str, &str)> = pages.iter().map(|(name, page)| (*name, page.as_str())).collect();
    let shown = look_at(&pages);
    for page in &shown {
        assert_eq!(page.plots.len(), page.figures, "{page:?}");
    }
    for (is_dark, width) in [(false, 360), (false, 1280), (true, 360), (true, 1280)] {
        assert!(shown.iter().any(|page| (page.is_dark, page.width) == (is_dark, width)), "{is_dark} {width}");
    }
    shown
}

/// What `netload report` makes of these results.
fn page(results: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.html");
    let output = netload(&[&["report", "--html", &path.display().to_string()], results].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fs::read_to_string(Path::new(&path)).expect("the page was saved")
}

/// Runs it. Whether a rate is kept is the machine's affair.
fn netload(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_netload")).args(arguments).output().expect("netload runs");
    assert!(matches!(output.status.code(), Some(0..=2)), "{output:?}");
    output
}
