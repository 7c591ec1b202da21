//! A run that begins while PostgreSQL is unavailable.

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
};
use url::Url;

use crate::house::{House, ended, plenty};

/// Proxy in front of the test database that drops all connections until it is opened.
struct Door {
    url: Url,
    open: watch::Sender<bool>,
}

impl Door {
    async fn shut(house: &House) -> Self {
        let mut url: Url = house.db.url().parse().unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let (open, is_open) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                if *is_open.borrow() {
                    let server = server.clone();
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        copy_bidirectional(&mut caller, &mut server).await.ok();
                    });
                }
            }
        });
        Self { url, open }
    }

    fn command(&self, house: &House, wait: &str) -> Command {
        let mut command = house.command(&["run", "--slot=night"]);
        command
            .env("DATABASE_URL", self.url.as_str())
            .env("DATABASE_WAIT_SECONDS", wait);
        command
    }
}

/// Reads the run's log until the run reports that it waits.
async fn until_it_waits(running: &mut Child) {
    let mut lines = BufReader::new(running.stderr.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("waiting for the database") {
            return;
        }
    }
    panic!("it ended without waiting");
}

#[tokio::test]
async fn a_run_waits_for_a_database_that_is_restarted() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let door = Door::shut(&house).await;

    let mut running = door.command(&house, "60").spawn().unwrap();
    until_it_waits(&mut running).await;
    door.open.send(true).unwrap();

    ended(running).await.expect_code(0);
    house.expect_truth("alice", alice).await;
}

#[tokio::test]
async fn a_run_without_a_waiting_time_ends_at_once_with_1() {
    let house = House::new(plenty()).await;
    let door = Door::shut(&house).await;

    let refused = ended(door.command(&house, "0").spawn().unwrap()).await;

    refused
        .expect_code(1)
        .expect_in_stderr("Check DATABASE_URL");
    assert!(!refused.stderr.contains("waiting"), "{refused:#?}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_waited_for() {
    let house = House::new(plenty()).await;
    let mut url: Url = house.db.direct_url().parse().unwrap();
    url.set_path("no_such_database");

    let mut command = house.command(&["run", "--slot=night"]);
    command
        .env("DATABASE_URL", url.as_str())
        .env("DATABASE_WAIT_SECONDS", "3600");
    let refused = ended(command.spawn().unwrap()).await;

    refused
        .expect_code(1)
        .expect_in_stderr("\"no_such_database\" does not exist");
}

#[tokio::test]
async fn a_run_that_waits_for_the_database_can_be_stopped() {
    let house = House::new(plenty()).await;
    let door = Door::shut(&house).await;

    let mut running = door.command(&house, "3600").spawn().unwrap();
    until_it_waits(&mut running).await;
    let pid = running.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(pid.unwrap(), Signal::TERM).unwrap();

    ended(running).await.expect_code(4);
}
