//! Kafka: brokers and clients find one another by host names; the Service's own name is for bootstrap only.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::from_manifest::{Cast, path};
use super::install::Jars;
use super::java::java;
use super::real_pods::{Running, client, run};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 9092;
/// The id of the cluster; any value will do.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "kafka",
            "three Kafka brokers, and a producer that bootstraps by the Service's name",
            "producer@kafka=too_few[hostname,service] kafka@kafka=withheld:by_hostname[hostname]",
            kafka,
        )
        .slow(),
    ]
}

fn kafka(stage: &Stage) -> Result<Seen> {
    let jars = Jars::new(
        "kafka-4.3.1",
        &[
            "org.apache.kafka:kafka_2.13:4.3.1",
            "org.apache.kafka:kafka-tools:4.3.1",
            "org.slf4j:slf4j-simple:1.7.36",
        ],
    )?;
    let (brokers, producer) =
        (jars.class_path()?, jars.compile("Produce.java", include_str!("java/Produce.java"))?);
    let cast = Cast::new(stage, include_str!("manifests/kafka.yaml"))?;
    let observer = cast.observe()?;
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
    let mut servers = cast
        .replicas("kafka")
        .map(|(number, pod)| {
            let data = path(stage, &format!("kafka-{number}"))?;
            let file = format!("{data}.properties");
            fs::write(&file, properties(number, &data)).context("cannot write a broker's settings")?;
            if !Path::new(&data).exists() {
                let words = [
                    java("-Xmx128m", &brokers),
                    vec![quiet, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", &file],
                ];
                let words = words.concat();
                run(Command::new(words[0]).args(&words[1..]))?;
            }
            Running::start(pod, &[java("-Xmx256m", &brokers), vec![quiet, "kafka.Kafka", &file]].concat())
        })
        .collect::<Result<Vec<_>>>()?;
    servers.iter_mut().try_for_each(|server| server.listens(PORT))?;
    cast.serve()?;
    let words = [java("-Xmx128m", &producer), vec![quiet, "Produce", "kafka:9092", "6"]].concat();
    client(cast.pod("producer")?, &words)?;
    let clients = [("kafka", "producer", Counts::Any), ("kafka", "kafka", Counts::Any)];
    said(&observer.snapshot()?, &clients)
}

/// A broker's settings. Each broker is a controller, too.
fn properties(number: usize, data: &str) -> String {
    let name = format!("kafka-{number}.kafka");
    format!(
        "process.roles=broker,controller\nnode.id={number}\n\
         controller.quorum.voters=0@kafka-0.kafka:9093,1@kafka-1.kafka:9093,2@kafka-2.kafka:9093\n\
         listeners=PLAINTEXT://:{PORT},CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://{name}:{PORT}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={data}\noffsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=4194304\n"
    )
}
