//! MySQL, with MariaDB: a StatefulSet; writers use the primary's host name, readers use any pod.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::Pod;

use super::from_manifest::{Cast, path};
use super::install::debian;
use super::real_pods::{Running, client, repeat_well, run};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 3306;
const SERVER: &str = "/usr/sbin/mariadbd";
const USER: &str = "shop";

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new(
        "mysql",
        "MariaDB with two replicas: writes to mysql-0.mysql, reads from mysql",
        "writer@mysql=withheld:by_hostname[hostname:10] reader@mysql=even[service:90] \
                   mysql@mysql=withheld:by_hostname[hostname]",
        mysql,
    )]
}

fn mysql(stage: &Stage) -> Result<Seen> {
    debian(&[(SERVER, "mariadb-server"), ("/usr/bin/mariadb", "mariadb-client")])?;
    let cast = Cast::new(stage, include_str!("manifests/mysql.yaml"))?;
    let empty = path(stage, "empty")?;
    run(Command::new("mariadb-install-db")
        .args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .arg(format!("--datadir={empty}")))?;
    let observer = cast.observe()?;
    let mut servers = cast
        .replicas("mysql")
        .map(|(number, pod)| {
            let data = path(stage, &format!("mysql-{number}"))?;
            run(Command::new("cp").args(["-a", &empty, &data]))?;
            let begin = format!("{data}.sql");
            fs::write(&begin, first_words(number)).context("cannot write the first statements")?;
            let (id, data_dir) = (format!("--server-id={}", number + 1), format!("--datadir={data}"));
            let (socket, begin) = (format!("--socket={data}/socket"), format!("--init-file={begin}"));
            Running::start(
                pod,
                &[&[SERVER, "--no-defaults", &id, &data_dir, &socket, &begin], &OPTIONS[..]].concat(),
            )
        })
        .collect::<Result<Vec<_>>>()?;
    servers.iter_mut().try_for_each(|server| server.listens(PORT))?;
    for (number, pod) in cast.replicas("mysql") {
        knows_user(pod, &path(stage, &format!("mysql-{number}"))?)?;
    }

    let sql = |host: &str, sql: &str| format!("mariadb --no-defaults -h {host} -u {USER} -e '{sql}'");
    let writer = cast.pod("writer")?;
    repeat_well(writer, 10, &sql("mysql-0.mysql", "insert into shop.orders values (default)"))?;
    repeat_well(cast.pod("reader")?, 90, &sql("mysql", "select @@server_id"))?;
    // A replica without a connection to its primary tries again by itself.
    for server in &mut servers[1..] {
        server.says("connected to master")?;
    }
    let clients = [
        ("mysql", "writer", Counts::Exact),
        ("mysql", "reader", Counts::Exact),
        ("mysql", "mysql", Counts::Any),
    ];
    said(&observer.snapshot()?, &clients)
}

/// Waits until a server has the clients' user: the primary makes it after it began to listen, and each replica copies
/// it. The server's own socket is used, because a connection over TCP would count as a client's.
fn knows_user(pod: &Pod, data: &str) -> Result<()> {
    let query = format!("select 'made' from mysql.user where user = '{USER}'");
    let ask = format!("mariadb --no-defaults --skip-column-names -S {data}/socket -u root -e \"{query}\"");
    client(pod, &["sh", "-c", &format!("until {ask} | grep -q made; do sleep 0.1; done")]).map(drop)
}

const OPTIONS: [&str; 7] = [
    "--user=root",
    "--skip-name-resolve",
    "--bind-address=0.0.0.0",
    "--log-bin=changes",
    "--innodb-buffer-pool-size=8M",
    "--innodb-log-file-size=4M",
    "--pid-file=pid",
];

/// A server's first SQL statements: the primary makes a table and users, each replica connects to the primary's host
/// name.
fn first_words(number: usize) -> String {
    if number == 0 {
        format!(
            "create database shop;\ncreate table shop.orders (n int auto_increment primary key);\n\
             create user {USER}@'%';\ngrant all on *.* to {USER}@'%';\n"
        )
    } else {
        format!(
            "change master to master_host='mysql-0.mysql', master_user='{USER}', master_use_gtid=slave_pos, \
             master_connect_retry=1;\nstart slave;\n"
        )
    }
}
