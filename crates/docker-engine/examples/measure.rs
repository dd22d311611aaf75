#![allow(missing_docs, clippy::all)]
use docker_engine::*;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
const D: Duration = Duration::from_secs(300);
fn body() -> CreateBody {
    let mut b = CreateBody {
        image: "mesos-demo/busybox".into(),
        cmd: Some(vec!["true".into()]),
        ..Default::default()
    };
    b.labels.insert("measure".into(), "1".into());
    b.host_config.network_mode = "host".into();
    b.host_config.log_config = Some(LogConfig { driver: "local".into(), config: Default::default() });
    b
}
async fn sweep(e: &Engine) {
    let l = e.list(&ListFilter { labels: vec!["measure".into()], ..Default::default() }, D).await.unwrap();
    for c in l {
        e.remove(&c.id, Force::Yes, AnonymousVolumes::Remove, D).await.unwrap();
    }
}
async fn batch(creates: usize, starts: usize, n: usize) -> Duration {
    let mut o = EngineOptions::new("/var/run/docker.sock");
    o.max_creates_in_flight = creates;
    o.max_starts_in_flight = starts;
    let e = Engine::connect(o).await.unwrap();
    let t = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for i in 0..n {
        let e = e.clone();
        set.spawn(async move {
            let img: ImageRef = "mesos-demo/busybox".parse().unwrap();
            e.image_inspect(&img, D).await.unwrap();
            let c = e.create(&format!("measure-{}-{i}", std::process::id()), &body(), D).await.unwrap();
            e.start(&c.id, D).await.unwrap();
            e.inspect(&c.id, D).await.unwrap();
        });
    }
    while let Some(r) = set.join_next().await {
        r.unwrap();
    }
    let d = t.elapsed();
    sweep(&e).await;
    d
}
async fn raw(s: &mut tokio::net::UnixStream, m: &str, p: &str, b: &[u8]) -> Vec<u8> {
    let h = format!(
        "{m} /v1.41{p} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        b.len()
    );
    let mut v = h.into_bytes();
    v.extend_from_slice(b);
    s.write_all(&v).await.unwrap();
    let mut out = Vec::with_capacity(16384);
    loop {
        let n = s.read_buf(&mut out).await.unwrap();
        assert!(n > 0);
        if let Some(i) = out.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&out[..i]).to_ascii_lowercase();
            if head.starts_with("http/1.1 204") {
                break;
            }
            if head.contains("chunked") {
                if out.ends_with(b"0\r\n\r\n") {
                    break;
                }
            } else if let Some(l) = head.lines().find_map(|l| l.strip_prefix("content-length: ")) {
                if out.len() >= i + 4 + l.parse::<usize>().unwrap() {
                    break;
                }
            }
        }
    }
    out
}
#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let e = Engine::connect(EngineOptions::default()).await.unwrap();
    sweep(&e).await;
    match a[1].as_str() {
        "batch" => {
            for round in 0..3 {
                for (c, s) in
                    [(2, 2), (4, 4), (8, 8), (16, 16), (50, 50), (50, 4), (50, 8), (4, 50), (50, 2), (2, 50)]
                {
                    println!("round {round} creates {c} starts {s}: {:?}", batch(c, s, 50).await);
                }
            }
        }
        "seq" => {
            let mut s = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
            let json = serde_json::to_vec(&body()).unwrap();
            let (mut ours, mut bare) = (vec![], vec![]);
            for i in 0..80 {
                let t = Instant::now();
                let img: ImageRef = "mesos-demo/busybox".parse().unwrap();
                e.image_inspect(&img, D).await.unwrap();
                let c = e.create(&format!("measure-o-{i}"), &body(), D).await.unwrap();
                e.start(&c.id, D).await.unwrap();
                e.inspect(&c.id, D).await.unwrap();
                ours.push(t.elapsed());
                e.wait_not_running(&c.id, D).await.unwrap();
                e.remove(&c.id, Force::Yes, AnonymousVolumes::Remove, D).await.unwrap();
                let t = Instant::now();
                raw(&mut s, "GET", "/images/mesos-demo/busybox/json", b"").await;
                let r = raw(&mut s, "POST", &format!("/containers/create?name=measure-b-{i}"), &json).await;
                let r = String::from_utf8_lossy(&r).into_owned();
                let id = r.split("\"Id\":\"").nth(1).unwrap()[..64].to_owned();
                raw(&mut s, "POST", &format!("/containers/{id}/start"), b"").await;
                raw(&mut s, "GET", &format!("/containers/{id}/json"), b"").await;
                bare.push(t.elapsed());
                e.wait_not_running(&id, D).await.unwrap();
                e.remove(&id, Force::Yes, AnonymousVolumes::Remove, D).await.unwrap();
            }
            ours.sort();
            bare.sort();
            println!(
                "ours {:?} bare {:?} ratio {:.4}",
                ours[40],
                bare[40],
                ours[40].as_secs_f64() / bare[40].as_secs_f64()
            );
        }
        "calls" => {
            let mut s = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
            for _ in 0..3 {
                let t = Instant::now();
                for _ in 0..2000 {
                    e.ping(D).await.unwrap();
                }
                println!("ping ours {:?}", t.elapsed() / 2000);
                let t = Instant::now();
                for _ in 0..2000 {
                    raw(&mut s, "GET", "/_ping", b"").await;
                }
                println!("ping raw {:?}", t.elapsed() / 2000);
            }
        }
        "mem" => {
            // fake engine is not needed: wait on one running container many times
            let mut b = body();
            b.cmd = Some(vec!["sleep".into(), "600".into()]);
            let c = e.create("measure-mem", &b, D).await.unwrap();
            e.start(&c.id, D).await.unwrap();
            let rss = || {
                std::fs::read_to_string("/proc/self/statm")
                    .unwrap()
                    .split(' ')
                    .nth(1)
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
                    * 4
            };
            let mut set = tokio::task::JoinSet::new();
            for kind in 0..2 { let mut last = rss(); for round in 0..4 {
            for _ in 0..400 { let e = e.clone(); let id = c.id.clone(); if kind == 0 { set.spawn(async move { let _ = e.wait_not_running(&id, D).await; }); } else { set.spawn(async move { let mut l = e.logs(&id, &LogRequest::all(Follow::Yes), D).await.unwrap(); while let Some(_) = l.next_frame().await {} }); } }
            tokio::time::sleep(Duration::from_secs(3)).await; let now = rss();
            println!("kind {kind} round {round}: {:.1} KiB each", (now - last) as f64 / 400.0); last = now; } }
            sweep(&e).await;
        }
        _ => {}
    }
    sweep(&e).await;
}
