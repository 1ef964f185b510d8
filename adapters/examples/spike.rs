use engine::{bus::Bus, config::Config, consume::request::PollRequest, event::EventFlags};
fn main() {
    let (config, section) =
        Config::parse(&std::env::args().nth(1).unwrap_or("{}".into()), &adapters::SECTIONS).unwrap();
    let bus = Bus::start(config.clone(), adapters::factory(section, &config).unwrap()).unwrap();
    let n: u64 = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(20_000_000);
    let batch: usize = std::env::args().nth(3).and_then(|s| s.parse().ok()).unwrap_or(1);
    core_affinity::set_for_current(core_affinity::CoreId { id: 0 });
    let mut p = bus.producer();
    let payload = vec![b'x'; 100];
    let t = std::time::Instant::now();
    let (mut ok, mut bad) = (0u64, 0u64);
    if batch == 1 {
        for _ in 0..n {
            match p.publish(None, &payload, EventFlags::NONE) {
                Ok(_) => ok += 1,
                Err(_) => bad += 1,
            }
        }
    } else {
        let v: Vec<&[u8]> = (0..batch).map(|_| &payload[..]).collect();
        for _ in 0..n / batch as u64 {
            let (a, e) = p.publish_batch(v.iter().copied(), EventFlags::NONE);
            ok += a as u64;
            if e.is_some() {
                bad += 1
            }
        }
    }
    let e1 = t.elapsed();
    let f = bus.flush();
    let e = t.elapsed();
    println!(
        "ok {ok} bad {bad} flush {f:?} {:.1} M/s pushed, {:.1} M/s stored",
        ok as f64 / e1.as_secs_f64() / 1e6,
        ok as f64 / e.as_secs_f64() / 1e6
    );
    let mut cursor = None;
    let mut got = 0;
    let t = std::time::Instant::now();
    loop {
        let r =
            bus.poll(&PollRequest { limit: 1000, cursor: cursor.clone(), ..PollRequest::default() }).unwrap();
        got += r.len();
        for (_, e) in r.events() {
            std::hint::black_box(e.payload);
        }
        cursor = r.next_cursor.clone();
        if !r.has_more {
            break;
        }
    }
    println!("polled {got} {:.1} M/s", got as f64 / t.elapsed().as_secs_f64() / 1e6);
    println!("{:?}", bus.stats());
    let t = std::time::Instant::now();
    let mut h = vec![];
    for _ in 0..200 {
        p.publish(None, &payload, EventFlags::NONE).unwrap();
        let t = std::time::Instant::now();
        bus.flush().unwrap();
        h.push(t.elapsed());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    h.sort();
    println!("parked flush p50 {:?} p99 {:?} {:?}", h[100], h[198], t.elapsed());
    println!("shutdown {:?} {:?}", bus.shutdown(None), bus.stats());
}
