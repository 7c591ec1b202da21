use crate::house::{House, plenty};
#[tokio::test]
async fn pty() {
    let house = House::new(whoop_sim::SimConfig { people: 5, days: 200, ..plenty() }).await;
    for p in 0..5 { house.connect(&format!("m{p}"), p).await; }
    let id = house.world().people()[3];
    house.world().revoke(id);
    house.world().fault(whoop_sim::Fault { millis: Some(40), ..whoop_sim::Fault::new("*", whoop_sim::FaultKind::Latency) });
    for (n, args) in [&["run", "--slot=morning", "--dry-run", "--user=m0", "--user=m1"][..], &["run", "--slot=auto", "--data-type=sleep"], &["run", "--slot=night", "--max-calls=40"], &["run","--slot=night","--json"], &["run","--slot=night","--since=2999-01-01"], &["migrate"]].into_iter().enumerate() {
        let c = house.command(args);
        let mut all = std::process::Command::new("python3");
        all.arg("/tmp/pty.py").arg(env!("CARGO_BIN_EXE_sync-worker")).args(args);
        for (k, v) in c.as_std().get_envs() { if let Some(v) = v { all.env(k, v); } }
        all.env("TERM", "xterm");
        let out = tokio::task::spawn_blocking(move || all.output().unwrap()).await.unwrap();
        std::fs::write(format!("/tmp/ptyt/{n}.txt"), [format!("{args:?}\n").into_bytes(), out.stdout, out.stderr].concat()).unwrap();
        std::fs::copy("/tmp/pty.out", format!("/tmp/ptyt/{n}.raw")).unwrap();
    }
    // full disk
    let mut c = house.command(&["run", "--slot=night", "--json"]);
    c.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let e = crate::house::ended(c.spawn().unwrap()).await;
    std::fs::write("/tmp/ptyt/full.txt", format!("{e:#?}")).unwrap();
    println!("{:?}", house.texts("SELECT concat_ws(' ', slot, trigger, status) FROM whoop_sync_run ORDER BY started_at").await);
}
