//! The wall clock is set while the daemon runs: no duration and no rate follows it.

use super::*;

/// Nanoseconds of a day.
const DAY: i128 = 86_400 * 1_000_000_000;

#[test]
fn stretch_of_a_snapshot_is_by_the_monotonic_clock_and_its_times_are_of_one_clock() {
    let mut world = World::new([orders(&pods(2))]);
    world.apply(Change::Synced(true));
    let mut seconds = Vec::new();
    for (turn, offset) in [0, DAY, -2 * DAY, 3_600_000_000_000].into_iter().enumerate() {
        world.engine.set_wall_offset(offset);
        world.pass(Duration::from_secs(600));
        world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
        world.connect(1, "10.0.0.1");
        let kernel = world.kernel();
        for length in [None, Some(Duration::from_secs(300))] {
            let snapshot = world.engine.snapshot(&kernel, length);
            let expected = length.unwrap_or(Duration::from_secs(601 + 600 * turn as u64)).as_secs();
            let stretch = snapshot.to.duration_since(snapshot.from).as_secs();
            seconds.push((stretch - expected.cast_signed()).abs() <= 12);
            // Times by the present clock lie within the observation.
            let began = snapshot.began.unwrap();
            let times = snapshot.services[0].endpoints.iter().filter_map(|row| row.ready_since);
            assert!(
                times.clone().count() == 2
                    && times.clone().all(|since| since >= began && since <= snapshot.to)
            );
            let named = snapshot.observation.unwrap_or(began);
            assert_eq!(named, Timestamp::UNIX_EPOCH, "the observation keeps its name");
        }
    }
    assert_eq!(seconds, [true; 8]);
}
